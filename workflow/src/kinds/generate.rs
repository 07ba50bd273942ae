//! A picture from a prompt alone.

use super::{request::Request, second_pass::decode_to_desired};
use crate::{
    draft::Draft,
    inventory::Inventory,
    passes::{empty_latent, sample},
    plan::Plan,
    refusal::Refusal,
    sizing::to_target,
    wire::WorkflowInput,
};

pub(crate) fn plan(input: &WorkflowInput, inventory: &Inventory) -> Result<Plan, Refusal> {
    let request = Request::parse(input, inventory)?;
    let extents = &request.extents;
    let mut draft = Draft::default();

    let loaded = request.models.load(&mut draft);
    let noise = empty_latent(&mut draft, &loaded, extents.initial, request.batch);
    let frame = request.frame(extents.initial);
    let (guided, prompts) = request.lead(&mut draft, &loaded, &frame);
    let start = request.sampling.start_step();
    let first = sample(
        &mut draft,
        &guided,
        prompts,
        &request.sampling,
        start,
        noise,
        extents.initial,
    );
    let images = decode_to_desired(&mut draft, inventory, &request, &loaded, first);
    let images = to_target(&mut draft, inventory, images, extents.desired, extents.target);
    Ok(draft.finish(images, request.batch, extents.target))
}
