//! What to decide: pure, total functions over snapshots.
//!
//! No clock, no I/O, no AWS. A Lambda loads a snapshot, calls one function, logs the plan and carries it out with
//! conditional writes; the simulator will call the same functions.

pub mod claim;
pub mod hold;
pub mod price;
pub mod reap;
pub mod scale;
pub mod watch;

use model::{BacklogEntry, Millis, Pool, Settings, Worker};

/// A pool as the tables show it: what every decision about it is made from. Index reads may lag behind.
#[derive(Debug, Clone, Copy)]
pub struct PoolSnapshot<'a> {
    /// The pool's own item, read consistently.
    pub pool: &'a Pool,
    /// Its workers.
    pub workers: &'a [Worker],
    /// Its waiting tasks, earliest first; possibly only the first page.
    pub backlog: &'a [BacklogEntry],
    /// Limits and durations.
    pub settings: &'a Settings,
    /// The moment of the decision.
    pub now: Millis,
}

impl PoolSnapshot<'_> {
    /// Waiting tasks that somebody still waits for and that have not expired: only they may start a machine.
    pub fn wanted(&self) -> impl Iterator<Item = &BacklogEntry> {
        self.backlog.iter().filter(|entry| {
            entry.expires_at > self.now
                && (entry.lane == model::Lane::Batch || self.now.since(entry.seen_at) < self.settings.owner_absent)
        })
    }
}
