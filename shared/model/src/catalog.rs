use serde::{Deserialize, Serialize};

use crate::TeamId;

/// A model file that a team may use: one item of Catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogEntry {
    /// The owning team, or `shared`.
    pub team: TeamId,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// `checkpoint`, `lora`, `vae`, `upscaler`, or `resource` (whose name is a resource id of the plugin's protocol).
    pub kind: String,
    /// The name painters see.
    pub name: String,
    /// The file as ComfyUI knows it.
    pub file: String,
    /// Architecture, e.g. `sd15`; only checkpoints have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// `checkpoint` or `diffusion`; only checkpoints have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

impl CatalogEntry {
    /// The team whose entries every team may use.
    pub const SHARED: &str = "shared";
}
