//! A selection painted over, as far as the start step allows.

use crate::{
    Catalog, Plan, Refusal, WorkflowInput,
    check::Request,
    deliver::{Reference, Step, deliver, resized},
    draft::Draft,
    plan::Output,
    prompt::conditions,
    recipe::{Colour, Operation},
    refusal::missing,
    sampling::sample,
    scale::scaled,
    second_pass::decode_to_desired,
    selection::{Canvas, masked_pass, repeat},
};

pub(crate) fn plan(input: &WorkflowInput, catalog: &Catalog) -> Result<Plan, Refusal> {
    let request = Request::parse(input, catalog)?;
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
    let (guided, prompts) = conditions(&mut draft, &loaded, &request, &request.references, &frame, None);
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
    let images = decode_to_desired(&mut draft, catalog, &request, &loaded, first);

    let reference = (request.colour_match > 0.0).then(|| Reference {
        picture: resized(&mut draft, picture, extents.initial, extents.desired, None),
        mask: resized(&mut draft, at_initial, extents.initial, extents.desired, None),
        strength: request.colour_match,
    });
    let steps = [Step::ToCanvas(extents.target), Step::Crop(selection.bounds)];
    let images = deliver(&mut draft, catalog, images, extents.desired, &steps, reference);
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
    Ok(draft.finish(images, Output::of(request.batch, selection.bounds.extent)))
}
