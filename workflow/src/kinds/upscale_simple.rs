//! The canvas enlarged, without diffusion.

use crate::{
    check::{Extents, StoredImages},
    draft::Draft,
    inventory::Inventory,
    plan::{Colour, Plan},
    refusal::{Refusal, missing, quote},
    sizing::{resize, upscale},
    wire::WorkflowInput,
};

pub(crate) fn plan(input: &WorkflowInput, inventory: &Inventory) -> Result<Plan, Refusal> {
    let images = input.images.as_ref().ok_or_else(|| missing("image sizes"))?;
    let stored = StoredImages::parse(input.image_data.as_ref())?;
    let canvas = stored.optional("initial image", images.initial_image)?;
    let canvas = canvas.ok_or_else(|| missing("picture to enlarge"))?;
    let extents = Extents::parse_plain(&images.extent)?;
    let model = upscale_model(input, inventory)?;
    let mut draft = Draft::default();

    let picture = draft.picture(canvas, (extents.input, &[]), Colour::WHITE, []);
    let mut image = draft.load_image(picture);
    if let Some(file) = model {
        image = upscale(&mut draft, inventory, file, image, extents.input);
    }
    let image = resize(&mut draft, image, extents.input, extents.target);
    Ok(draft.finish(image, 1, extents.target))
}

/// The upscale model that the painter has chosen, if any.
pub(crate) fn upscale_model<'a>(input: &WorkflowInput, inventory: &'a Inventory) -> Result<Option<&'a str>, Refusal> {
    let name = input.upscale.as_ref().map_or("", |upscale| &upscale.model);
    if name.is_empty() {
        return Ok(None);
    }
    inventory.upscale_model(name).map(Some).ok_or_else(|| {
        Refusal::new(format!(
            "the upscale model {} is not on this server. Choose another one.",
            quote(name)
        ))
    })
}
