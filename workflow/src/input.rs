//! The plugin's `WorkflowInput`, as it is on the wire.
//!
//! A key that equals its default is left out when sent, and is left out here when serialised. Keys that we do not know
//! are ignored: a plugin update with one more setting must not stop a studio. Numbers are as wide as the wire allows, and
//! names of closed lists keep what they do not know, so that a bad one is refused in plain words and not by a parser.

use crate::refusal::{Refusal, quote};
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod names;
pub use names::{Arch, ControlMode, Fill, InpaintMode, Kind};

/// A whole request. Which parts must be there depends on `kind`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowInput {
    /// What to do.
    pub kind: Kind,
    /// Sizes, and which pictures play which part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Images>,
    /// Model files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Models>,
    /// Sampler, steps, seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
    /// Prompts, control layers, regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditioning: Option<Conditioning>,
    /// Selection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inpaint: Option<Inpaint>,
    /// Size in pixels of the second pass of inpaint, width and height.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop_upscale_extent: Option<[i64; 2]>,
    /// Enlarging.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upscale: Option<Upscale>,
    /// Detector of `control_image`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub control_mode: ControlMode,
    /// Pictures wanted.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub batch_count: i64,
    /// How far colours are pulled towards the surroundings, 0 to 1.
    #[serde(default, skip_serializing_if = "is_default")]
    pub color_match: f64,
    /// Sensitivity of the content filter, 0 (off) to 1.
    #[serde(default, skip_serializing_if = "is_default")]
    pub nsfw_filter: f64,
    /// A graph of the painter's own; only kept so that nothing is lost on the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_workflow: Option<Value>,
    /// Where the pictures are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_data: Option<ImageData>,
}

impl WorkflowInput {
    /// The request in this JSON; a refusal in words for the painter if it is none.
    pub fn read(json: Value) -> Result<Self, Refusal> {
        serde_json::from_value(json).map_err(|error| {
            Refusal::new(format!(
                "the request cannot be read: {}. Update the plugin.",
                quote(&error.to_string())
            ))
        })
    }
}

/// All pictures of a request are one blob, either here or in the object store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageData {
    /// The blob itself, if it is small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// The key that `upload/image` gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3_object: Option<String>,
    /// Start of each picture in the blob, in bytes.
    #[serde(default)]
    pub offsets: Vec<u64>,
}

/// Sizes, and indices into the pictures of [`ImageData`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Images {
    /// Sizes.
    pub extent: Extents,
    /// The canvas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_image: Option<i64>,
    /// The selected piece of canvas in full resolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hires_image: Option<i64>,
    /// The selection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hires_mask: Option<i64>,
    /// Layers of a layered picture.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub layer_count: i64,
}

/// Sizes in pixels, width and height.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extents {
    /// Of the picture `initial_image`.
    pub input: [i64; 2],
    /// Of the first diffusion pass.
    pub initial: [i64; 2],
    /// Of the second diffusion pass.
    pub desired: [i64; 2],
    /// Of the piece of canvas that is asked for.
    pub target: [i64; 2],
}

/// Model files, by their names in the catalogue.
#[allow(clippy::struct_excessive_bools, reason = "the protocol's switches")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Models {
    /// Key of a checkpoint.
    pub checkpoint: String,
    /// What the checkpoint is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub version: Arch,
    /// A separate VAE; "" and "Checkpoint Default" mean the checkpoint's own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub vae: String,
    /// In the order in which they are applied.
    #[serde(default)]
    pub loras: Vec<Lora>,
    /// Layers of CLIP to leave out, counted from the end; 0 is the model's own default.
    #[serde(default, skip_serializing_if = "is_default")]
    pub clip_skip: i64,
    /// The checkpoint predicts v, with zero terminal signal-to-noise ratio.
    #[serde(default, skip_serializing_if = "is_default")]
    pub v_prediction_zsnr: bool,
    /// Multiplier of RescaleCFG, 0 to 1, for models that predict v.
    #[serde(default = "rescale_cfg", skip_serializing_if = "is_rescale_cfg")]
    pub rescale_cfg: f64,
    /// Sharpens details at the price of time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub self_attention_guidance: bool,
    /// Reuses steps that change little.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dynamic_caching: bool,
    /// Encodes and decodes in tiles, for little memory.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tiled_vae: bool,
}

/// One LoRA.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lora {
    /// File name in the catalogue.
    pub name: String,
    /// Weight, for model and text encoder alike.
    pub strength: f64,
    /// Base64 SHA-256 of a file that the painter uploaded.
    #[serde(default, skip_serializing_if = "is_default")]
    pub storage_id: String,
}

/// The diffusion itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// ComfyUI's name of the sampler.
    pub sampler: String,
    /// ComfyUI's name of the scheduler, or one of the special ones.
    pub scheduler: String,
    /// Guidance; at 1 the negative prompt has no effect.
    pub cfg_scale: f64,
    /// Steps of the whole schedule.
    pub total_steps: i64,
    /// Steps of the schedule to leave out at its beginning.
    #[serde(default, skip_serializing_if = "is_default")]
    pub start_step: i64,
    /// Of the noise.
    #[serde(default, skip_serializing_if = "is_default")]
    pub seed: i64,
}

/// What the picture shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conditioning {
    /// Root prompt.
    pub positive: String,
    /// What to avoid.
    #[serde(default, skip_serializing_if = "is_default")]
    pub negative: String,
    /// Template around each prompt, with `{prompt}` in its place.
    #[serde(default, skip_serializing_if = "is_default")]
    pub style: String,
    /// Control layers of the whole picture.
    #[serde(default)]
    pub control: Vec<Control>,
    /// The first one is the background.
    #[serde(default)]
    pub regions: Vec<Region>,
    /// Language of the prompts, such as "de"; "" for English.
    #[serde(default, skip_serializing_if = "is_default")]
    pub language: String,
    /// Gives the canvas to an edit model as reference.
    #[serde(default, skip_serializing_if = "is_default")]
    pub edit_reference: bool,
}

/// One control layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// What the layer shows.
    pub mode: ControlMode,
    /// Index of its picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<i64>,
    /// Weight.
    #[serde(default = "full", skip_serializing_if = "is_full")]
    pub strength: f64,
    /// First and last share of the schedule in which it acts.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub range: [f64; 2],
}

/// A part of the picture with a prompt of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// Index of the mask's picture.
    pub mask: i64,
    /// x, y, width and height in the document, in pixels; may lie outside of it.
    pub bounds: [i64; 4],
    /// Full prompt, without the style.
    pub positive: String,
    /// Control layers of this region.
    #[serde(default)]
    pub control: Vec<Control>,
    /// LoRAs of this region.
    #[serde(default)]
    pub loras: Vec<Lora>,
}

/// The selection and how to fill it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inpaint {
    /// The painter's wish; the plugin has already made settings of it.
    pub mode: InpaintMode,
    /// x, y, width and height of the result in the context, in pixels.
    pub target_bounds: [i64; 4],
    /// What the selection holds before the diffusion.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fill: Fill,
    /// Growth of the mask, in pixels.
    #[serde(default, skip_serializing_if = "is_default")]
    pub grow: i64,
    /// Width of the mask's soft rim, in pixels.
    #[serde(default, skip_serializing_if = "is_default")]
    pub feather: i64,
    /// Width of the result's soft rim, in pixels.
    #[serde(default, skip_serializing_if = "is_default")]
    pub blend: i64,
    /// Uses a model made for inpainting.
    #[serde(default, skip_serializing_if = "is_default")]
    pub use_inpaint_model: bool,
    /// Has no effect in 1.53.
    #[serde(default, skip_serializing_if = "is_default")]
    pub use_condition_mask: bool,
    /// Uses the surroundings as reference picture.
    #[serde(default, skip_serializing_if = "is_default")]
    pub use_reference: bool,
}

/// How to enlarge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upscale {
    /// File name of an upscale model; "" for none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub model: String,
    /// Overlap of tiles in pixels; -1 for automatic.
    #[serde(default = "automatic", skip_serializing_if = "is_automatic")]
    pub tile_overlap: i64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A default that is not the type's own, and its test, as serde wants them.
macro_rules! defaults {
    ($($default:ident, $is_default:ident: $type:ty = $value:expr;)*) => {$(
        fn $default() -> $type {
            $value
        }

        #[allow(clippy::float_cmp, clippy::trivially_copy_pass_by_ref, reason = "a default is exact; serde passes references")]
        fn $is_default(value: &$type) -> bool {
            *value == $value
        }
    )*};
}

defaults! {
    one, is_one: i64 = 1;
    automatic, is_automatic: i64 = -1;
    full, is_full: f64 = 1.0;
    rescale_cfg, is_rescale_cfg: f64 = 0.7;
    whole, is_whole: [f64; 2] = [0.0, 1.0];
}
