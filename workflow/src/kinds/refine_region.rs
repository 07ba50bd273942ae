//! A selection painted over, as far as the start step allows.

use super::{request::Request, second_pass::decode_to_desired};
use crate::{
    draft::Draft,
    inventory::Inventory,
    passes::{Canvas, masked_pass, repeat, sample},
    plan::{Colour, Operation, Plan},
    refusal::{Refusal, missing},
    sizing::{ColourReference, Step, deliver, resized, scaled},
    wire::WorkflowInput,
};

pub(crate) fn plan(input: &WorkflowInput, inventory: &Inventory) -> Result<Plan, Refusal> {
    let request = Request::parse(input, inventory)?;
    let canvas = request.initial_image.ok_or_else(|| missing("picture to refine"))?;
    let mask = request.hires_mask.ok_or_else(|| missing("selection"))?;
    let selection = request.selection.as_ref().ok_or_else(|| missing("selection"))?;
    let extents = &request.extents;
    let mut draft = Draft::default();

    let loaded = request.models.load(&mut draft).differential(&mut draft);
    let to_initial: Vec<_> = scaled(extents.input, extents.initial).into_iter().collect();
    let picture = draft.picture(canvas, (extents.input, &[]), Colour::WHITE, to_initial);
    let [_, acts] = selection.masks(&mut draft, mask, extents);
    let at_initial = resized(
        &mut draft,
        acts,
        extents.target,
        extents.initial,
        Some(Operation::Stable),
    );

    let content = draft.load_image(picture);
    let frame = request.frame(extents.initial);
    let (guided, prompts) = request.lead(&mut draft, &loaded, &frame);
    let canvas = Canvas {
        picture,
        mask: at_initial,
    };
    let pass = masked_pass(&mut draft, &guided, &selection.model, prompts, canvas, content);
    let latent = repeat(&mut draft, pass.latent, request.batch);
    let start = request.sampling.start_step();
    let first = sample(
        &mut draft,
        &pass.loaded,
        pass.prompts,
        &request.sampling,
        start,
        latent,
        extents.initial,
    );
    let images = decode_to_desired(&mut draft, inventory, &request, &loaded, first);

    let reference = (request.colour_match > 0.0).then(|| ColourReference {
        picture: resized(&mut draft, picture, extents.initial, extents.desired, None),
        mask: resized(&mut draft, at_initial, extents.initial, extents.desired, None),
        strength: request.colour_match,
    });
    let steps = [Step::ToCanvas(extents.target), Step::Crop(selection.bounds)];
    let images = deliver(&mut draft, inventory, images, extents.desired, &steps, reference);
    let whole = selection.bounds.extent == extents.target;
    let cut = draft.derive(
        acts,
        (!whole)
            .then(|| selection.bounds.crop())
            .into_iter()
            .collect::<Vec<_>>(),
    );
    let alpha = selection.alpha(&mut draft, cut);
    draft.finish_with([alpha]);
    Ok(draft.finish(images, request.batch, selection.bounds.extent))
}
