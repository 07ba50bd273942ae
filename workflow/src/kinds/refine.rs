//! The whole canvas painted over, as far as the start step allows.

use crate::{
    Catalog, Plan, Refusal, WorkflowInput,
    check::Request,
    draft::Draft,
    plan::Colour,
    prompt::encode,
    refusal::missing,
    sampling::sample,
    scale::{scale, to_target},
};

pub(crate) fn plan(input: &WorkflowInput, catalog: &Catalog) -> Result<Plan, Refusal> {
    let request = Request::parse(input, catalog)?;
    let canvas = request.initial_image.ok_or_else(|| missing("picture to refine"))?;
    let extents = &request.extents;
    if extents.initial != extents.desired {
        return Err(Refusal::new(
            "refine has no second pass, but the request asks for one. Update the plugin.",
        ));
    }
    let mut draft = Draft::default();

    let loaded = request.models.load(&mut draft);
    let image = draft.load_image(canvas, extents.input, Colour::WHITE);
    let image = scale(&mut draft, image, extents.input, extents.initial);
    let mut latent = loaded.encode(&mut draft, image);
    if request.batch > 1 {
        latent = draft
            .node(
                "RepeatLatentBatch",
                [("samples", latent.into()), ("amount", request.batch.into())],
            )
            .output(0);
    }
    let prompts = encode(&mut draft, &loaded, &request.prompts);
    let start = request.sampling.start_step();
    let latent = sample(
        &mut draft,
        &loaded,
        prompts,
        &request.sampling,
        start,
        latent,
        extents.initial,
    );
    let images = loaded.decode(&mut draft, latent);
    let images = to_target(&mut draft, catalog, images, extents.desired, extents.target);
    Ok(draft.finish(images, request.batch, extents.target))
}
