//! How long those in line will wait: the line is dealt out to the workers in fair order, as they become free.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use model::{BacklogEntry, TaskId, WorkerState};
use serde::Serialize;

use crate::{coming::starting, estimate, fair, snapshot::PoolSnapshot};

/// What a painter is told of a waiting task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Eta {
    /// Place in line, from 1.
    pub position: usize,
    /// Until the run begins.
    pub wait: Duration,
    /// Until the picture is there.
    pub done: Duration,
}

/// In how long each worker that serves or comes is free.
pub fn free_in(snapshot: &PoolSnapshot<'_>) -> Vec<Duration> {
    let now = snapshot.now;
    let start = estimate::start(snapshot.estimates);
    let run = estimate::any_run(snapshot.estimates);
    // Whatever takes longer than expected is expected to take a little longer.
    let rest = |whole: Duration, since| whole.saturating_sub(now.since(since)).max(whole / 8);
    let staying = snapshot.workers.iter().filter(|worker| worker.dismissed.is_none());
    let known = staying.filter_map(|worker| match worker.state {
        WorkerState::Ready | WorkerState::Busy | WorkerState::Draining if !snapshot.answers(worker) => None,
        WorkerState::Busy => Some(rest(run, worker.state_since)),
        WorkerState::Ready | WorkerState::Draining => Some(Duration::ZERO),
        state if state.is_coming() => Some(rest(start, worker.up_since)),
        _ => None,
    });
    let unseen = starting(snapshot.pool, snapshot)
        .filter(|it| !snapshot.workers.iter().any(|worker| worker.worker_id == it.worker_id))
        .map(|it| rest(start, it.since));
    known.chain(unseen).collect()
}

/// How long each wanted task will wait and run, in line, with the workers that are free in `free`.
pub fn waits<'a>(snapshot: &PoolSnapshot<'a>, free: &[Duration]) -> Vec<(&'a BacklogEntry, Duration, Duration)> {
    let mut line: Vec<_> = snapshot.wanted().collect();
    line.sort_unstable_by_key(|entry| fair::order(entry));
    let mut free: BinaryHeap<_> = free.iter().copied().map(Reverse).collect();
    line.into_iter()
        .map_while(|entry| {
            let Reverse(wait) = free.pop()?;
            let run = estimate::run(snapshot.estimates, entry.model.as_deref(), entry.work);
            free.push(Reverse(wait.saturating_add(run)));
            Some((entry, wait, run))
        })
        .collect()
}

/// The mean wait if the load goes on as it is, with so many workers: Sakasegawa's approximation of M/M/c ("An
/// approximation formula Lq = αβ^ρ/(1−ρ)", 1977). An hour where the load is more than they can do.
pub fn steady(snapshot: &PoolSnapshot<'_>, workers: u32) -> Duration {
    let workers = f64::from(workers.max(1));
    let busy = estimate::erlangs(snapshot.estimates.load, snapshot.now) / workers;
    if busy >= 1.0 {
        return Duration::from_hours(1);
    }
    let line = busy.powf((2.0 * (workers + 1.0)).sqrt() - 1.0) / (workers * (1.0 - busy));
    estimate::any_run(snapshot.estimates)
        .mul_f64(line)
        .min(Duration::from_hours(1))
}

/// Place in line and time left for a waiting task. Without any worker, the next start is expected to bring one.
pub fn eta(snapshot: &PoolSnapshot<'_>, task_id: TaskId) -> Option<Eta> {
    let found = etas(snapshot).into_iter().find(|(id, _)| *id == task_id);
    found.map(|(_, eta)| eta)
}

/// The same for all that wait, in line.
pub fn etas(snapshot: &PoolSnapshot<'_>) -> Vec<(TaskId, Eta)> {
    let mut free = free_in(snapshot);
    if free.is_empty() {
        free.push(estimate::start(snapshot.estimates));
    }
    let line = waits(snapshot, &free).into_iter().zip(1..);
    let etas = line.map(|((entry, wait, run), position)| {
        let done = wait.saturating_add(run);
        (entry.task_id, Eta { position, wait, done })
    });
    etas.collect()
}
