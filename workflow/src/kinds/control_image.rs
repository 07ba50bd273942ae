//! A control layer made from the canvas.

use crate::{
    check::{Extent, Extents, StoredImages},
    draft::{
        Draft, Link,
        cost::{self, Cost},
        flow,
    },
    inventory::Inventory,
    plan::{Colour, Plan},
    refusal::{Refusal, missing, unknown},
    sizing::scale,
    wire::{ControlMode, WorkflowInput},
};
use serde_json::Value;

/// Detectors want sides of multiples of this, and at least so many pixels.
const GRID: u32 = 64;
const LEAST_SIDE: u32 = 512;

/// Finds in a picture what a control layer shows.
#[derive(Debug)]
enum Detector {
    /// ComfyUI's own edges, for all layers of lines.
    Edges { soft: bool },
    /// One of a pack.
    Node {
        class: &'static str,
        settings: &'static [(&'static str, &'static str)],
        cost: Cost,
    },
}

impl Detector {
    /// The best for this mode that the render machines have.
    fn find(mode: &ControlMode, inventory: &Inventory) -> Result<Self, Refusal> {
        use ControlMode::{CannyEdge, Depth, LineArt, Normal, Pose, Scribble, Segmentation, SoftEdge};
        let (class, cost, settings): (_, _, &[_]) = match mode {
            CannyEdge => return Ok(Self::Edges { soft: false }),
            Scribble => ("PiDiNetPreprocessor", cost::SCRIBBLE, &[("safe", "enable")]),
            LineArt => ("LineArtPreprocessor", cost::LINE_ART, &[("coarse", "disable")]),
            SoftEdge => (
                "AnyLineArtPreprocessor_aux",
                cost::SOFT_EDGE,
                &[("merge_with_lineart", "lineart_standard")],
            ),
            Depth => (
                "DepthAnythingV2Preprocessor",
                cost::DEPTH,
                &[("ckpt_name", "depth_anything_v2_vits.pth")],
            ),
            Normal => ("BAE-NormalMapPreprocessor", cost::NORMAL, &[]),
            Pose => (
                "DWPreprocessor",
                cost::POSE,
                &[
                    ("detect_hand", "enable"),
                    ("detect_body", "enable"),
                    ("detect_face", "enable"),
                    ("bbox_detector", "yolox_l.torchscript.pt"),
                    ("pose_estimator", "dw-ll_ucoco_384_bs5.torchscript.pt"),
                    ("scale_stick_for_xinsr_cn", "disable"),
                ],
            ),
            Segmentation => ("OneFormer-COCO-SemSegPreprocessor", cost::SEGMENTATION, &[]),
            ControlMode::Unknown(name) => return Err(unknown("control mode", name)),
            other => {
                return Err(Refusal::new(format!(
                    "{other} detection is not available on this server."
                )));
            }
        };
        match inventory.need_nodes(&format!("{mode} detection"), &[class]) {
            Ok(()) => Ok(Self::Node { class, settings, cost }),
            Err(_) if is_lines(mode) => Ok(Self::Edges {
                soft: *mode == SoftEdge,
            }),
            Err(refusal) => Err(refusal),
        }
    }

    fn run(&self, draft: &mut Draft, image: Link<flow::Image>, size: Extent) -> Found {
        match self {
            Self::Edges { soft } => {
                let inputs = [
                    ("image", image.into()),
                    ("low_threshold", 0.31.into()),
                    ("high_threshold", 0.78.into()),
                ];
                let node = draft.node("Canny", inputs);
                draft.takes(node, cost::EDGES, size);
                let edges = node.output(0);
                Found {
                    image: if *soft { blur(draft, edges) } else { edges },
                    keypoints: None,
                }
            }
            Self::Node { class, settings, cost } => {
                let resolution = size.width().min(size.height());
                let inputs = [("image", image.into()), ("resolution", resolution.into())];
                let settings = settings.iter().map(|(name, value)| (*name, Value::from(*value)));
                let node = draft.node_with(class, inputs.into_iter().chain(settings));
                draft.takes(node, *cost, size);
                Found {
                    image: node.output(0),
                    keypoints: (*class == "DWPreprocessor").then(|| node.output(1)),
                }
            }
        }
    }
}

/// What a detector has found.
struct Found {
    image: Link<flow::Image>,
    keypoints: Option<Link<flow::Keypoints>>,
}

/// Whether the plugin's button that makes a layer of this kind from the canvas works: it shows one for every kind that it
/// offers, but for those that are the canvas itself.
pub(crate) fn is_detectable(mode: &ControlMode, inventory: &Inventory) -> bool {
    matches!(mode, ControlMode::Blur | ControlMode::Stencil) || Detector::find(mode, inventory).is_ok()
}

/// Control layers of lines are black on white; detectors make white on black.
fn is_lines(mode: &ControlMode) -> bool {
    use ControlMode::{CannyEdge, LineArt, Scribble, SoftEdge};
    matches!(mode, CannyEdge | LineArt | Scribble | SoftEdge)
}

pub(crate) fn plan(input: &WorkflowInput, inventory: &Inventory) -> Result<Plan, Refusal> {
    let mode = &input.control_mode;
    let detector = Detector::find(mode, inventory)?;
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
    let Found { mut image, keypoints } = detector.run(&mut draft, image, working);
    if is_lines(mode) {
        image = draft.node("ImageInvert", [("image", image.into())]).output(0);
    }
    let image = scale(&mut draft, image, working, extents.target);
    if let Some(keypoints) = keypoints {
        draft.show_pose(keypoints);
    }
    Ok(draft.finish(image, 1, extents.target))
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
