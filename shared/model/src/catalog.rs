use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Millis, TeamId, UserId};

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
    /// Which version of the model, from 1 on.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub number: u32,
    /// Taken in place of newer versions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// Not offered any more; who names it still gets it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
    /// When it was deleted. Until [`CatalogEntry::UNDELETE`] is over it can be had back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Millis>,
    /// Its master in the bucket of models; none of what only the machine image has.
    #[serde(flatten)]
    pub master: Option<Master>,
}

impl CatalogEntry {
    /// The team whose entries every team may use.
    pub const SHARED: &str = "shared";
    /// How long what was deleted can be had back.
    pub const UNDELETE: Duration = Duration::from_hours(30 * 24);

    /// One of a file that the machine image has.
    pub fn on_images(team: TeamId, kind: &str, name: &str, file: &str) -> Self {
        Self {
            team,
            version: 0,
            kind: kind.to_owned(),
            name: name.to_owned(),
            file: file.to_owned(),
            arch: None,
            format: None,
            licence: None,
            source: None,
            number: first(),
            pinned: false,
            deprecated: false,
            deleted: None,
            master: None,
        }
    }

    /// Whether a new request gets it.
    pub const fn is_offered(&self) -> bool {
        !self.deprecated && self.deleted.is_none()
    }
}

const fn first() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_first(number: &u32) -> bool {
    *number == 1
}

/// Where the bytes of a model are, and what is known of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Master {
    /// SHA-256 of the file, 64 hexadecimal digits in lower case.
    pub sha256: String,
    /// Size of the file, bytes.
    pub size: u64,
    /// The team in whose place in the bucket it lies: another one than the entry's if it was shared.
    pub home: TeamId,
    /// Who brought it.
    pub owner: UserId,
    /// When it was registered.
    pub created: Millis,
    /// Only its owner sees it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private: bool,
    /// Words for a prompt that it was trained on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// Side of the pictures that it was trained on, pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<u32>,
}

impl Master {
    /// Where the file lies in the bucket of models.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", Self::PREFIX, self.home, self.sha256)
    }

    /// The file below ComfyUI's folder of its kind, as a graph names it.
    pub fn file(&self) -> String {
        format!("atelier/{}/{}.safetensors", self.home, self.sha256)
    }

    /// What the keys of all of them begin with.
    pub const PREFIX: &str = "models";
}

/// An upload of a model that is not registered yet: one item of Catalog, in a partition of the team's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelUpload {
    /// The team that it is for.
    pub owner_team: TeamId,
    /// Our name for it.
    pub id: String,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// Who brings it.
    pub owner: UserId,
    /// What painters are to see.
    pub name: String,
    /// SHA-256 that the file is said to have, 64 hexadecimal digits in lower case.
    pub sha256: String,
    /// Size of the file, bytes.
    pub size: u64,
    /// S3's name for it.
    pub upload: String,
    /// Only its owner is to see it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private: bool,
    /// What its author allows, as its owner says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Where it is from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When it began.
    pub created: Millis,
    /// How far it is.
    pub state: UploadState,
    /// When it is forgotten, in seconds since 1970: the table's TTL.
    pub expires: u64,
}

impl ModelUpload {
    /// Where the file will lie.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", Master::PREFIX, self.owner_team, self.sha256)
    }
}

/// How far an upload is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum UploadState {
    /// Parts are coming.
    Receiving,
    /// All are there, and are looked at.
    Checking,
    /// It is in the catalogue.
    Registered {
        /// Its kind, a folder of ComfyUI.
        kind: String,
        /// Which version of the model it became.
        number: u32,
    },
    /// It was not taken, and why, in words for whoever brought it.
    Refused {
        /// The words.
        why: String,
    },
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
