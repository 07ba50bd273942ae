//! A picture from a prompt alone.

use crate::{
    Catalog, Plan, Refusal, WorkflowInput,
    check::Request,
    draft::Draft,
    graph::{Link, flow},
    models::Loaded,
    plan::Output,
    prompt::conditions,
    sampling::sample,
    scale::{Extent, to_target},
    second_pass::decode_to_desired,
};

pub(crate) fn plan(input: &WorkflowInput, catalog: &Catalog) -> Result<Plan, Refusal> {
    let request = Request::parse(input, catalog)?;
    let extents = &request.extents;
    let mut draft = Draft::default();

    let loaded = request.models.load(&mut draft);
    let noise = empty_latent(&mut draft, &loaded, extents.initial, request.batch);
    let frame = request.frame(extents.initial);
    let (guided, prompts) = conditions(&mut draft, &loaded, &request, &request.references, &frame, None);
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
    let images = decode_to_desired(&mut draft, catalog, &request, &loaded, first);
    let images = to_target(&mut draft, catalog, images, extents.desired, extents.target);
    Ok(draft.finish(images, Output::of(request.batch, extents.target)))
}

/// Nothing yet, in this size.
pub(crate) fn empty_latent(draft: &mut Draft, loaded: &Loaded, extent: Extent, batch: u32) -> Link<flow::Latent> {
    // Later models have latents of sixteen channels.
    let class = match loaded.guidance {
        Some(_) => "EmptySD3LatentImage",
        None => "EmptyLatentImage",
    };
    draft
        .node(
            class,
            [
                ("width", extent.width().into()),
                ("height", extent.height().into()),
                ("batch_size", batch.into()),
            ],
        )
        .output(0)
}
