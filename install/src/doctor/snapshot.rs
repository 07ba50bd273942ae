//! What a look at an installation saw.

use std::collections::{BTreeMap, BTreeSet};

use fleet::{
    remains::{Disk, DiskSnapshot, LaunchImage, Machine},
    site::{Image, Subnet},
};
use model::{AwaitedLora, CatalogEntry, Deletion, Millis, ModelUpload, Pool, UploadedLora, Worker};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::aws::{Resource, Stack};

/// Why something could not be looked at, in words.
pub type Unseen = String;

/// What was seen, or why nothing was.
pub type Seen<T> = Result<T, Unseen>;

/// Everything that the findings are made of.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Name of the stack.
    pub name: String,
    /// Region.
    pub region: String,
    /// The account's number.
    pub account: Seen<String>,
    /// The stack; none if there is none.
    pub stack: Seen<Option<Stack>>,
    /// Its resources.
    pub resources: Seen<Vec<Resource>>,
    /// Those that are not as the template says.
    pub drift: Seen<Vec<Drifted>>,
    /// vCPUs of G and VT instances that may run at once.
    pub vcpus: Seen<f64>,
    /// Calls of functions that may run at once.
    pub concurrency: Seen<f64>,
    /// What is launched; none if the launch template names no image.
    pub image: Seen<Option<LaunchImage>>,
    /// Where it is launched.
    pub subnets: Seen<Vec<Subnet>>,
    /// How the HTTP API answers.
    pub api: Seen<Answer>,
    /// How the WebSocket API answers whoever has no token.
    pub socket: Seen<Answer>,
    /// Public half of the stored signing key, base64 of its DER; none if nothing is stored yet.
    pub key: Seen<Option<String>>,
    /// What the catalogue lists.
    pub catalogue: Seen<Catalogue>,
    /// Sizes in bytes of the objects in the bucket of models, by key.
    pub objects: Seen<BTreeMap<String, u64>>,
    /// The pools.
    pub pools: Seen<Vec<PoolSeen>>,
    /// By function: when its tick last went well; none if not within [`super::TICK_WITHIN`].
    pub ticks: BTreeMap<&'static str, Seen<Option<Millis>>>,
    /// Messages that nobody could handle.
    pub dead: Seen<u64>,
    /// Ends of tasks whose record nobody could write.
    pub dead_records: Seen<u64>,
    /// Tables by logical name: whether they can be recovered to any moment, and their size in bytes.
    pub tables: BTreeMap<String, Seen<TableSeen>>,
    /// Instances.
    pub machines: Seen<Vec<Machine>>,
    /// Volumes.
    pub disks: Seen<Vec<Disk>>,
    /// Snapshots.
    pub disk_snapshots: Seen<Vec<DiskSnapshot>>,
    /// The account's images that were made for Atelier, the oldest first.
    pub images: Seen<Vec<Image>>,
}

/// What the table Catalog has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// The models of all teams, those that were deleted and can be had back among them.
    pub models: Vec<CatalogEntry>,
    /// The LoRAs that painters have uploaded.
    pub loras: Vec<UploadedLora>,
    /// Keys of files that may be in the bucket without being listed: they are on their way, or are to go.
    pub passing: BTreeSet<String>,
}

impl Catalogue {
    /// Takes an item of the table. What is none of these names no file.
    pub(super) fn take(&mut self, item: &Value) {
        fn read<T: DeserializeOwned>(item: &Value) -> Option<T> {
            serde::Deserialize::deserialize(item).ok()
        }
        // An upload has all that an uploaded LoRA has, and more.
        if let Some(it) = read::<ModelUpload>(item) {
            self.passing.insert(it.key());
        } else if let Some(it) = read::<UploadedLora>(item) {
            self.loras.push(it);
        } else if let Some(it) = read::<CatalogEntry>(item) {
            self.models.push(it);
        } else if let Some(it) = read::<AwaitedLora>(item) {
            self.passing.insert(it.key());
        } else if let Some(it) = read::<Deletion>(item) {
            self.passing.extend(it.master.map(|it| it.key()));
        }
    }
}

/// A resource that is not as the template says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drifted {
    /// Its name in the template.
    pub logical: String,
    /// Its type.
    pub kind: String,
    /// Whether it is not there at all.
    pub deleted: bool,
    /// The properties that differ.
    pub properties: Vec<String>,
}

/// An API's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its clock.
    pub date: Option<Millis>,
    /// This machine's clock when it came.
    pub at: Millis,
    /// The release that it says it is.
    pub version: Option<String>,
}

/// A pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSeen {
    /// Its item.
    pub pool: Pool,
    /// Its workers.
    pub workers: Vec<Worker>,
    /// Why nothing is forecast of it: what was learned is damaged, or of another release.
    pub fault: Option<String>,
}

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableSeen {
    /// Whether it can be recovered to any moment of the last weeks.
    pub recoverable: bool,
    /// Size, bytes; AWS counts about every six hours.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_of_item_is_known() {
        let mut found = Catalogue::default();
        for item in [
            json!({ "team": "studio", "entry": "lora#a#1", "version": 1, "kind": "lora", "name": "a", "file": "a.safetensors" }),
            json!({ "team": "loras#studio", "version": 1, "owner": "studio", "sha256": "ab", "size": 5, "created": 1 }),
            json!({
                "team": "uploads", "version": 1, "owner_team": "studio", "id": "u", "owner": "mara", "name": "b", "sha256": "cd",
                "size": 7, "upload": "s3", "created": 1, "state": { "is": "receiving" }, "until": 2
            }),
            json!({ "team": "awaited", "version": 1, "of": "studio", "hash": "ef", "at": 1 }),
            json!({
                "team": "deletions", "version": 1, "of": "studio", "what": "lora#c#1", "at": 1,
                "master": { "sha256": "01", "size": 1, "home": "studio", "owner": "mara", "created": 1 }
            }),
            json!({ "team": "counts", "version": 1, "of": "studio", "given": 3 }),
            json!({ "team": "numbers", "version": 1, "of": "studio", "model": "lora#a", "last": 1 }),
        ] {
            found.take(&item);
        }
        assert_eq!((found.models.len(), found.loras.len()), (1, 1), "{found:?}");
        let passing: Vec<_> = found.passing.iter().map(String::as_str).collect();
        assert_eq!(passing, ["loras/studio/ef", "models/studio/01", "models/studio/cd"]);
    }
}
