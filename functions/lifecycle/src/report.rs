use std::{ops::AddAssign, time::Duration};

use tracing::info;

/// What a tick came to: one line of the log.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TickReport {
    /// Pools that there are.
    pub(crate) pools: usize,
    /// Pools that could not (wholly) be looked after.
    pub(crate) failed: usize,
    /// Workers or instances that were corrected.
    pub(crate) converged: usize,
    /// Tasks that wait again, since their run was lost.
    pub(crate) requeued: usize,
    /// Tasks whose time was over.
    pub(crate) expired: usize,
    /// Pools whose fleet was to be changed.
    pub(crate) planned: usize,
    /// Tasks that are over and were offered again to who writes records.
    pub(crate) offered: usize,
}

impl TickReport {
    pub(crate) fn log(self, took: Duration) {
        let Self {
            pools,
            failed,
            converged,
            requeued,
            expired,
            planned,
            offered,
        } = self;
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        info!(
            pools,
            pools.failed = failed,
            workers.converged = converged,
            tasks.requeued = requeued,
            tasks.expired = expired,
            pools.planned = planned,
            tasks.offered = offered,
            duration_ms = ms,
            "tick"
        );
    }
}

impl AddAssign for TickReport {
    fn add_assign(&mut self, other: Self) {
        self.pools += other.pools;
        self.failed += other.failed;
        self.converged += other.converged;
        self.requeued += other.requeued;
        self.expired += other.expired;
        self.planned += other.planned;
        self.offered += other.offered;
    }
}
