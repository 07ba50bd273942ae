//! What a look at an installation saw.

use std::collections::BTreeMap;

use fleet::{
    remains::{Disk, DiskSnapshot, LaunchImage, Machine},
    site::Subnet,
};
use model::{CatalogEntry, Millis, Pool, UploadedLora, Worker};

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
    /// The models of all teams.
    pub models: Seen<Vec<CatalogEntry>>,
    /// The LoRAs that painters have uploaded.
    pub loras: Seen<Vec<UploadedLora>>,
    /// Sizes in bytes of the objects in the bucket of models, by key.
    pub objects: Seen<BTreeMap<String, u64>>,
    /// The pools.
    pub pools: Seen<Vec<PoolSeen>>,
    /// By function: when its tick logged last; none if not within [`super::TICK_WITHIN`].
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
    /// The snapshots that images are made of.
    pub needed_snapshots: Seen<Vec<String>>,
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
