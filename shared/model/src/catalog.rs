use serde::{Deserialize, Serialize};

use crate::{Millis, TeamId};

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
    /// What its author allows, e.g. `Apache-2.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// The address where it is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl CatalogEntry {
    /// The team whose entries every team may use.
    pub const SHARED: &str = "shared";
}

/// A LoRA file that a painter uploaded: one item of Catalog, in a partition of the team's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadedLora {
    /// The team that may use it. Another team that uploads the same bytes has an entry and an object of its own.
    pub owner: TeamId,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// SHA-256 of the file, 64 hexadecimal digits in lower case.
    pub sha256: String,
    /// Size of the file, bytes.
    pub size: u64,
    /// When its upload was last allowed.
    pub created: Millis,
    /// The file was seen in the bucket. Until then the upload may have been given up.
    #[serde(default)]
    pub stored: bool,
}

impl UploadedLora {
    /// Where the file lies in the bucket of models.
    pub fn key(&self) -> String {
        format!("loras/{}/{}", self.owner, self.sha256)
    }

    /// The file below ComfyUI's folder of LoRAs, as a graph names it.
    pub fn file(&self) -> String {
        format!("atelier/{}/{}.safetensors", self.owner, self.sha256)
    }
}
