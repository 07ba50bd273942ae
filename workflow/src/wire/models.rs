//! Model files and how to sample.

use super::{
    defaults::{is_default, is_rescale_cfg, rescale_cfg},
    names::Arch,
};
use serde::{Deserialize, Serialize};

/// Model files, by their names in the inventory.
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
    /// File name in the inventory.
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
