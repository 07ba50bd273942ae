use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Millis, TeamId, UserId};

/// A model file that a team may use: one item of Catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogEntry {
    /// The owning team, or `shared`.
    pub team: TeamId,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// One of [`KINDS`], or `resource`, whose name is a resource id of the plugin's protocol and whose file is one of any kind.
    pub kind: String,
    /// The name painters see.
    pub name: String,
    /// The file as ComfyUI knows it.
    pub file: String,
    /// Architecture, e.g. `sd15`, that it is or acts on, where that is known.
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
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

    /// What it is called within its team: no two have the same.
    pub fn key(&self) -> String {
        let key = format!("{}#{}#{}", self.kind, self.name, self.number);
        match self.private_of() {
            Some(owner) => format!("{key}#{owner}"),
            None => key,
        }
    }

    /// What all versions of its model are called: what a painter has for themselves is another model than the team's of the same
    /// name, whose versions say nothing of it.
    pub fn model(&self) -> String {
        let (kind, name) = (&self.kind, &self.name);
        match self.private_of() {
            Some(owner) => format!("{kind}#{name}#{owner}"),
            None => format!("{kind}#{name}"),
        }
    }

    /// Who alone sees it, if it is not the team's.
    fn private_of(&self) -> Option<&UserId> {
        self.master.as_ref().filter(|it| it.private).map(|it| &it.owner)
    }

    /// Whether every team may use it.
    pub fn is_shared(&self) -> bool {
        self.team.as_str() == Self::SHARED
    }

    /// Whether this user of its team, or of any if it is shared, may see it.
    pub fn is_for(&self, user: &UserId) -> bool {
        self.master.as_ref().is_none_or(|it| !it.private || it.owner == *user)
    }
}

/// Kinds of model files, each with ComfyUI's folder of such files
/// (<https://docs.comfy.org/development/core-concepts/models>).
pub const KINDS: &[(&str, &str)] = &[
    ("checkpoint", "checkpoints"),
    ("diffusion_model", "diffusion_models"),
    ("lora", "loras"),
    ("vae", "vae"),
    ("controlnet", "controlnet"),
    ("ip_adapter", "ipadapter"),
    ("upscaler", "upscale_models"),
    ("text_encoder", "text_encoders"),
    ("clip_vision", "clip_vision"),
    ("embedding", "embeddings"),
];

/// ComfyUI's folder of files of this kind; none if it is no kind.
pub fn folder(kind: &str) -> Option<&'static str> {
    KINDS.iter().find(|(name, _)| *name == kind).map(|(_, folder)| *folder)
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
    /// It came by the plugin's own upload of LoRAs, and lies where that puts it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_plugin: bool,
    /// Words for a prompt that it was trained on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// Side of the pictures that it was trained on, pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<u32>,
    /// How it was trained, as its trainer wrote into the file: `rank`, `steps`, `base`, `title`, `author`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub training: BTreeMap<String, String>,
}

impl Master {
    /// Where the file lies in the bucket of models.
    pub fn key(&self) -> String {
        let prefix = if self.by_plugin {
            UploadedLora::PREFIX
        } else {
            Self::PREFIX
        };
        format!("{prefix}/{}/{}", self.home, self.sha256)
    }

    /// The file below ComfyUI's folder of its kind, as graphs of a team's painters name it, or of everybody's if it is shared.
    pub fn file(&self, team: &TeamId) -> String {
        format!("atelier/{team}/{}.safetensors", self.sha256)
    }

    /// What the keys of all of them begin with.
    pub const PREFIX: &str = "models";
}

/// That a model was deleted: one item of Catalog, in a partition of its own, until it is had back or gone for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// The team of the deleted entry.
    pub of: TeamId,
    /// [`CatalogEntry::key`] of the deleted entry.
    pub what: String,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// When it was deleted.
    pub at: Millis,
    /// The deleted entry's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<Master>,
}

/// Which version numbers a model has had: one item of Catalog, in a partition with all others. Whoever gives one, or pins a
/// version, changes it, so that no two do at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// The team of the model's entries.
    pub of: TeamId,
    /// [`CatalogEntry::model`] of them.
    pub model: String,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// The last number that was given, whatever has become of that version.
    pub last: u32,
}

impl Numbers {
    /// Of a model that has had none.
    pub fn new(of: &TeamId, model: String) -> Self {
        Self {
            of: of.clone(),
            model,
            version: 0,
            last: 0,
        }
    }
}

/// That a LoRA of the plugin's upload was not looked at yet: one item of Catalog, in a partition with all others, until it was, or
/// its upload was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedLora {
    /// [`UploadedLora::owner`].
    pub of: TeamId,
    /// SHA-256 of the file, 64 hexadecimal digits in lower case.
    pub hash: String,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// When its upload was last allowed.
    pub at: Millis,
}

impl AwaitedLora {
    /// Where the file is to lie in the bucket of models.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", UploadedLora::PREFIX, self.of, self.hash)
    }
}

/// How many places a team has been given for LoRAs of the plugin's upload: one item of Catalog, in a partition with all others.
/// Whoever gives one changes it, so that two at once do not both take the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoraCount {
    /// The team.
    pub of: TeamId,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// How many, those that are gone included.
    pub given: u64,
}

/// An upload of a model that is not registered yet: one item of Catalog, in a partition with all others.
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
    /// Architecture, as its owner says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// What its author allows, as its owner says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Where it is from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When it began.
    pub created: Millis,
    /// S3's sum over its parts, once they are all there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<String>,
    /// How far it is.
    pub state: UploadState,
    /// When it is given up, or forgotten if it is over.
    pub until: Millis,
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
        /// Its kind, one of [`KINDS`].
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
    /// Who brought it; absent of what earlier releases have written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
}

impl UploadedLora {
    /// What the keys of all of them begin with.
    pub const PREFIX: &str = "loras";

    /// Where the file lies in the bucket of models.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", Self::PREFIX, self.owner, self.sha256)
    }

    /// The file below ComfyUI's folder of LoRAs, as a graph names it.
    pub fn file(&self) -> String {
        format!("atelier/{}/{}.safetensors", self.owner, self.sha256)
    }
}
