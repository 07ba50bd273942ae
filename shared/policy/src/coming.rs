//! Which workers are on their way, as far as anybody can know.

use std::{collections::BTreeSet, time::Duration};

use model::{Millis, Pool, StartingWorker, WorkerId};

use crate::{estimate, snapshot::PoolSnapshot};

/// A worker that has not come after this many times the usual start is not counted on any more.
const LATE: u32 = 2;
const LEAST_LATE: Duration = Duration::from_mins(3);

/// How many workers come, in time: shown by the index, or only known to have been started.
pub(crate) fn coming(snapshot: &PoolSnapshot<'_>) -> usize {
    let late = (estimate::start(snapshot.estimates) * LATE).max(LEAST_LATE);
    let in_time = |since: Millis| snapshot.now.since(since) < late;
    let shown = snapshot
        .workers
        .iter()
        .filter(|w| w.state.is_coming() && w.dismissed.is_none() && in_time(w.up_since));
    let dismissed = |id: &WorkerId| {
        let mut workers = snapshot.workers.iter();
        workers.any(|w| w.worker_id == *id && w.dismissed.is_some())
    };
    let started = starting(snapshot.pool, snapshot)
        .filter(|it| in_time(it.since) && !dismissed(&it.worker_id))
        .map(|it| &it.worker_id);
    shown
        .map(|w| &w.worker_id)
        .chain(started)
        .collect::<BTreeSet<_>>()
        .len()
}

/// Workers that an earlier plan started and that the index may not show: kept until the boot limit, unless the
/// snapshot already knows better.
pub fn starting<'a>(pool: &'a Pool, snapshot: &PoolSnapshot<'_>) -> impl Iterator<Item = &'a StartingWorker> {
    let now = snapshot.now;
    let limit = snapshot.settings.boot_limit;
    let settled: Vec<WorkerId> = snapshot
        .workers
        .iter()
        .filter(|w| {
            !w.state.is_coming()
                && pool
                    .starting
                    .iter()
                    .any(|s| s.worker_id == w.worker_id && w.state_since > s.since)
        })
        .map(|w| w.worker_id.clone())
        .collect();
    pool.starting
        .iter()
        .filter(move |s| now.since(s.since) < limit && !settled.contains(&s.worker_id))
}
