//! What to decide: pure, total functions over snapshots.
//!
//! No clock, no I/O, no AWS. A Lambda loads a snapshot, calls one function, logs the plan and carries it out with
//! conditional writes; the simulator calls the same functions.

pub mod breaker;
pub mod claim;
pub mod estimate;
pub mod fair;
pub mod forecast;
pub mod hold;
pub mod presence;
pub mod price;
pub mod rate;
pub mod reap;
pub mod scale;
pub mod wait;
pub mod watch;

use model::{BacklogEntry, Estimates, Millis, Pool, Presence, Settings, Worker};

/// A pool as the tables show it: what every decision about it is made from. Index reads may lag behind.
#[derive(Debug, Clone, Copy)]
pub struct PoolSnapshot<'a> {
    /// The pool's own item, read consistently.
    pub pool: &'a Pool,
    /// Its workers.
    pub workers: &'a [Worker],
    /// Its waiting tasks, earliest first; possibly only the first page.
    pub backlog: &'a [BacklogEntry],
    /// Who is, or was lately, at their canvas.
    pub presence: &'a [Presence],
    /// How long things take here.
    pub estimates: &'a Estimates,
    /// Limits and durations.
    pub settings: &'a Settings,
    /// The moment of the decision.
    pub now: Millis,
}

impl<'a> PoolSnapshot<'a> {
    /// Waiting tasks that somebody still waits for and that have not expired: only they may start a machine.
    pub fn wanted(&self) -> impl Iterator<Item = &'a BacklogEntry> {
        let Self { now, settings, .. } = *self;
        self.backlog.iter().filter(move |entry| {
            entry.expires_at > now
                && (entry.lane == model::Lane::Batch || now.since(entry.seen_at) < settings.owner_absent)
        })
    }
}
