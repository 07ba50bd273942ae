//! Lists of records: of a painter, of a team, of a machine.
//!
//! ```text
//! index/owner=mara/head.json.gz                   which parts there are
//! index/owner=mara/2026-11/<hash>.jsonl.gz        at most 500 entries of that month, newest first
//! ```
//!
//! A part never changes: what comes to it makes another one. So the head, which is replaced only as it was read, is the one
//! place where two writers meet, and whoever is cut off leaves at most a part behind that nobody names.

mod entry;
mod head;
mod read;
mod write;

use cloud::{Bucket, bucket::Expect, chain};
use model::{Task, TeamId, UserId, WorkerId};

pub use entry::{Entry, Place};
pub use head::{Head, Merge, PART, Part, merged};
pub use read::{Looked, after, find};
pub use write::{change, take_in, take_out};

use crate::{HistoryError, lines, packed};

/// Whose records an index lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Those of a painter.
    Owner(UserId),
    /// Those of all painters of a team.
    Team(TeamId),
    /// Those that a machine has rendered last.
    Worker(WorkerId),
}

/// Where indexes lie in the bucket.
pub const INDEX: &str = "index/";

impl Scope {
    /// Whose indexes list this task.
    pub fn of(task: &Task) -> impl Iterator<Item = Self> {
        let worker = task.last_run.as_ref().map(|run| Self::Worker(run.worker_id.clone()));
        [Self::Owner(task.owner.clone()), Self::Team(task.team.clone())]
            .into_iter()
            .chain(worker)
    }

    /// Where its index lies.
    pub fn folder(&self) -> String {
        match self {
            Self::Owner(user) => format!("{INDEX}owner={user}/"),
            Self::Team(team) => format!("{INDEX}team={team}/"),
            Self::Worker(worker) => format!("{INDEX}worker={worker}/"),
        }
    }

    /// Where its head lies.
    pub fn head_key(&self) -> String {
        format!("{}head.json.gz", self.folder())
    }

    /// Where the part of this name lies.
    pub fn part_key(&self, part: &Part) -> String {
        format!("{}{}.jsonl.gz", self.folder(), part.name)
    }
}

/// The head of an index with its ETag; an empty one if there is none.
pub async fn head(bucket: &Bucket, scope: &Scope) -> Result<(Head, Option<String>), HistoryError> {
    let key = scope.head_key();
    let Some(object) = bucket.read(&key).await? else {
        return Ok((Head::default(), None));
    };
    let text = lines(&key, &object.bytes)?.concat();
    let head = serde_json::from_str(&text).map_err(|error| HistoryError::Damaged {
        key,
        source: error.into(),
    })?;
    Ok((head, Some(object.etag)))
}

/// Puts the head, if it is still as it was read.
async fn put_head(bucket: &Bucket, scope: &Scope, head: &Head, read: Option<&str>) -> Result<bool, HistoryError> {
    let text = serde_json::to_string(head)?;
    let expect = read.map_or(Expect::Nothing, Expect::Etag);
    Ok(bucket
        .put_if(&scope.head_key(), packed([text.as_str()]), expect)
        .await?)
}

/// The entries of a part, newest first; none if it is gone. What cannot be read of it is left out and logged.
async fn part(bucket: &Bucket, scope: &Scope, part: &Part) -> Result<Option<Vec<Entry>>, HistoryError> {
    let key = scope.part_key(part);
    let Some(object) = bucket.read(&key).await? else {
        return Ok(None);
    };
    let lines = lines(&key, &object.bytes)?;
    let entry = |line: &String| {
        let entry = serde_json::from_str(line);
        entry
            .inspect_err(|error| tracing::error!(key, error = chain(error), "an entry of an index cannot be read"))
            .ok()
    };
    Ok(Some(lines.iter().filter_map(entry).collect()))
}
