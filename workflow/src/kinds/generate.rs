//! A picture from a prompt alone.

use crate::{
    Catalog, Plan, Refusal, WorkflowInput,
    check::Request,
    draft::Draft,
    graph::{Link, flow},
    prompt::encode,
    sampling::sample,
    scale::{Extent, to_target},
    second_pass::decode_to_desired,
};

pub(crate) fn plan(input: &WorkflowInput, catalog: &Catalog) -> Result<Plan, Refusal> {
    let request = Request::parse(input, catalog)?;
    let extents = &request.extents;
    let mut draft = Draft::default();

    let loaded = request.models.load(&mut draft);
    let noise = empty_latent(&mut draft, extents.initial, request.batch);
    let prompts = encode(&mut draft, &loaded, &request.prompts);
    let start = request.sampling.start_step();
    let first = sample(
        &mut draft,
        &loaded,
        prompts,
        &request.sampling,
        start,
        noise,
        extents.initial,
    );
    let images = decode_to_desired(&mut draft, catalog, &request, &loaded, prompts, first);
    let images = to_target(&mut draft, catalog, images, extents.desired, extents.target);
    Ok(draft.finish(images, request.batch, extents.target))
}

/// Nothing yet, in this size.
pub(crate) fn empty_latent(draft: &mut Draft, extent: Extent, batch: u32) -> Link<flow::Latent> {
    draft
        .node(
            "EmptyLatentImage",
            [
                ("width", extent.width().into()),
                ("height", extent.height().into()),
                ("batch_size", batch.into()),
            ],
        )
        .output(0)
}
