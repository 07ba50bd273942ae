//! The whole canvas painted over, as far as the start step allows.

use crate::{
    Catalog, Plan, Refusal, WorkflowInput,
    check::Request,
    draft::Draft,
    plan::Output,
    prompt::conditions,
    recipe::Colour,
    refusal::missing,
    sampling::sample,
    scale::{scale, to_target},
    selection::repeat,
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
    let picture = draft.picture(canvas, (extents.input, &[]), Colour::WHITE, []);
    let image = draft.load_image(picture);
    let image = scale(&mut draft, image, extents.input, extents.initial);
    let latent = loaded.encode(&mut draft, image);
    let latent = repeat(&mut draft, latent, request.batch);
    let frame = request.frame(extents.initial);
    let (guided, prompts) = conditions(&mut draft, &loaded, &request, &request.references, &frame, None);
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
    let images = to_target(&mut draft, catalog, images, extents.desired, extents.target);
    Ok(draft.finish(images, Output::of(request.batch, extents.target)))
}
