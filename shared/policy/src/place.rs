//! Why a waiting task has its place in line, for people.

use model::{BacklogEntry, Lane, Millis, Settings, WorkerId};

/// Why a task is not before those that are before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Its time is over: the next tick ends it.
    Expired,
    /// Its painter does not ask for it any more: it starts no machine.
    Unwanted,
    /// It failed on this machine, and waits for another one.
    Failed(WorkerId),
    /// So many of the same painter are before it, with whom other painters take turns.
    Turns(usize),
    /// It is the painter's next, in a lane that has this many times the share of the slowest.
    Next(u64),
}

/// A place in line.
#[derive(Debug, Clone, PartialEq)]
pub struct Place<'a> {
    /// Whose it is.
    pub entry: &'a BacklogEntry,
    /// Why.
    pub reason: Reason,
}

/// The line in fair order, each place with its reason. A worker may take one with its model loaded a little earlier, as
/// [`crate::claim::choose`] says.
pub fn places<'a>(backlog: &'a [BacklogEntry], settings: &Settings, now: Millis) -> Vec<Place<'a>> {
    let mut line: Vec<_> = backlog.iter().collect();
    line.sort_unstable_by_key(|entry| crate::fair::order(entry));
    let mut before: std::collections::BTreeMap<_, usize> = std::collections::BTreeMap::new();
    let placed = line.into_iter().map(|entry| {
        let same = before.entry((&entry.owner, entry.lane)).or_default();
        let reason = if entry.expires_at <= now {
            Reason::Expired
        } else if entry.lane != Lane::Batch && now.since(entry.seen_at) >= settings.owner_absent {
            Reason::Unwanted
        } else if let Some(on) = &entry.failed_on {
            Reason::Failed(on.clone())
        } else if *same > 0 {
            Reason::Turns(*same)
        } else {
            Reason::Next(crate::fair::weight(entry.lane) / crate::fair::weight(Lane::Batch))
        };
        *same += 1;
        Place { entry, reason }
    });
    placed.collect()
}
