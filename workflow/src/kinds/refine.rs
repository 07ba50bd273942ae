//! The whole canvas painted over, as far as the start step allows.

use super::request::Request;
use crate::{
    draft::Draft,
    inventory::Inventory,
    passes::{repeat, sample},
    plan::{Colour, Plan},
    refusal::{Refusal, missing},
    sizing::{scale, to_target},
    wire::WorkflowInput,
};

pub(crate) fn plan(input: &WorkflowInput, inventory: &Inventory) -> Result<Plan, Refusal> {
    let request = Request::parse(input, inventory)?;
    let canvas = request.initial_image.ok_or_else(|| missing("picture to refine"))?;
    let extents = &request.extents;
    if extents.initial != extents.desired {
        return Err(Refusal::new(
            "refine has no second pass, but the request asks for one. Update the plugin.",
        ));
    }
    let mut draft = Draft::default();

    let loaded = request.models.load(&mut draft);
    let picture = draft.picture(canvas, (extents.input, &[]), Colour::WHITE, []);
    let image = draft.load_image(picture);
    let image = scale(&mut draft, image, extents.input, extents.initial);
    let latent = loaded.encode(&mut draft, image);
    let latent = repeat(&mut draft, latent, request.batch);
    let frame = request.frame(extents.initial);
    let (guided, prompts) = request.lead(&mut draft, &loaded, &frame);
    let start = request.sampling.start_step();
    let latent = sample(
        &mut draft,
        &guided,
        prompts,
        &request.sampling,
        start,
        latent,
        extents.initial,
    );
    let images = loaded.decode(&mut draft, latent);
    let images = to_target(&mut draft, inventory, images, extents.desired, extents.target);
    Ok(draft.finish(images, request.batch, extents.target))
}
