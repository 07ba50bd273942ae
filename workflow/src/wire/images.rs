//! Pictures, their sizes, and the selection.

use super::{
    defaults::{automatic, is_automatic, is_default, is_one, one},
    names::{Fill, InpaintMode},
};
use serde::{Deserialize, Serialize};

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
