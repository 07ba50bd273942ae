//! What a decision about a pool is made from.

use model::{BacklogEntry, Estimates, Hazard, Lane, Millis, Pool, Presence, Settings, Worker, WorkerState};

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
    /// What is known of its painters' pauses; none: nothing yet.
    pub hazard: Option<&'a Hazard>,
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
            entry.expires_at > now && (entry.lane == Lane::Batch || now.since(entry.seen_at) < settings.owner_absent)
        })
    }

    /// The workers in this state.
    pub fn in_state(&self, state: WorkerState) -> impl Iterator<Item = &'a Worker> {
        self.workers.iter().filter(move |worker| worker.state == state)
    }

    /// Whether the worker was heard of lately, and has lost no run by silence since.
    pub fn answers(&self, worker: &Worker) -> bool {
        worker.answers(self.settings.worker_silent, self.now)
    }

    /// Whether the worker takes work, now or once it is free.
    pub fn serves(&self, worker: &Worker) -> bool {
        matches!(worker.state, WorkerState::Ready | WorkerState::Busy) && self.answers(worker)
    }
}
