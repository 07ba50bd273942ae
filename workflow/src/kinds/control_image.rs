//! A control layer made from the canvas.

use crate::{
    Catalog, ControlMode, Plan, Refusal, WorkflowInput,
    check::StoredImages,
    draft::Draft,
    graph::{Link, flow},
    plan::Output,
    recipe::Colour,
    refusal::{missing, unknown},
    scale::{Extents, scale},
};

/// Detectors want sides of multiples of this, and at least so many pixels.
const GRID: u32 = 64;
const LEAST_SIDE: u32 = 512;

pub(crate) fn plan(input: &WorkflowInput, _catalog: &Catalog) -> Result<Plan, Refusal> {
    use ControlMode::{CannyEdge, LineArt, Scribble, SoftEdge};
    let mode = &input.control_mode;
    match mode {
        CannyEdge | LineArt | Scribble | SoftEdge => {}
        ControlMode::Unknown(name) => return Err(unknown("control mode", name)),
        other => {
            return Err(Refusal::new(format!(
                "{other} detection is not available on this server."
            )));
        }
    }
    let images = input.images.as_ref().ok_or_else(|| missing("image sizes"))?;
    let stored = StoredImages::parse(input.image_data.as_ref())?;
    let canvas = stored.optional("initial image", images.initial_image)?;
    let canvas = canvas.ok_or_else(|| missing("picture to look at"))?;
    let extents = Extents::parse_plain(&images.extent)?;
    let working = extents.input.round_up(GRID, LEAST_SIDE);
    let mut draft = Draft::default();

    let picture = draft.picture(canvas, (extents.input, &[]), Colour::WHITE, []);
    let image = draft.load_image(picture);
    let image = scale(&mut draft, image, extents.input, working);
    let mut image = draft
        .node(
            "Canny",
            [
                ("image", image.into()),
                ("low_threshold", 0.31.into()),
                ("high_threshold", 0.78.into()),
            ],
        )
        .output(0);
    if *mode == SoftEdge {
        image = blur(&mut draft, image);
    }
    image = draft.node("ImageInvert", [("image", image.into())]).output(0);
    let image = scale(&mut draft, image, working, extents.target);
    Ok(draft.finish(image, Output::of(1, extents.target)))
}

fn blur(draft: &mut Draft, image: Link<flow::Image>) -> Link<flow::Image> {
    draft
        .node(
            "ImageBlur",
            [
                ("image", image.into()),
                ("blur_radius", 2.into()),
                ("sigma", 1.0.into()),
            ],
        )
        .output(0)
}
