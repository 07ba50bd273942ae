//! The plugin's `WorkflowInput`, as it is on the wire.
//!
//! A key that equals its default is left out when sent, and is left out here when serialised. Keys that we do not know
//! are ignored: a plugin update with one more setting must not stop a studio. Numbers are as wide as the wire allows, and
//! names of closed lists keep what they do not know, so that a bad one is refused in plain words and not by a parser.

use crate::refusal::{Refusal, quote};
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod conditioning;
mod defaults;
mod images;
mod models;
mod names;

pub use conditioning::{Conditioning, Control, Region};
pub use images::{Extents, ImageData, Images, Inpaint, Upscale};
pub use models::{Lora, Models, Sampling};
pub use names::{Arch, ControlMode, Fill, InpaintMode, Kind};

use defaults::{is_default, is_one, one};

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
            let said = error.to_string();
            // `invalid type: string "…", expected …`: a text may be a prompt, and a refusal is logged.
            let said = match (said.find('"'), said.rfind('"')) {
                (Some(from), Some(to)) if from < to => format!("{}…{}", &said[..from], &said[to + 1..]),
                _ => said,
            };
            Refusal::new(format!(
                "the request cannot be read: {}. Update the plugin.",
                quote(&said)
            ))
        })
    }
}
