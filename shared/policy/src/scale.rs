//! When to wake, start or launch a worker for waiting work.

use model::{Millis, Pool, Settings, StartingWorker, WorkerId, WorkerState};
use serde::Serialize;

use crate::PoolSnapshot;

/// What to do for a pool's waiting work, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScalePlan {
    /// Ready workers to tell that there is work.
    pub wake: Vec<WorkerId>,
    /// At most one change of the fleet.
    pub grow: Grow,
    /// In words, for the log.
    pub reason: &'static str,
}

/// A change of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grow {
    /// None.
    No,
    /// Let a draining worker go on.
    Undrain(WorkerId),
    /// Start a stopped instance.
    Start(WorkerId),
    /// Launch a new instance.
    Launch,
}

/// Reactive, one worker at a time: work that somebody waits for wakes the ready workers; if none is up or coming, one
/// is started.
///
/// Predicted wait, presence and the forecast's floor come with the scheduling issue, behind this signature.
pub fn plan(snapshot: &PoolSnapshot<'_>) -> ScalePlan {
    let PoolSnapshot {
        pool,
        workers,
        settings,
        now,
        ..
    } = *snapshot;
    let wake: Vec<_> = if snapshot.backlog.is_empty() {
        Vec::new()
    } else {
        workers
            .iter()
            .filter(|w| w.state == WorkerState::Ready)
            .map(|w| w.worker_id.clone())
            .collect()
    };
    let no = |wake, reason| ScalePlan {
        wake,
        grow: Grow::No,
        reason,
    };
    if snapshot.wanted().next().is_none() {
        return no(wake, "nothing waits that anybody asks for");
    }
    if workers
        .iter()
        .any(|w| matches!(w.state, WorkerState::Ready | WorkerState::Busy) && alive(w, snapshot))
    {
        return no(wake, "a worker is up");
    }
    if workers.iter().any(|w| w.state.is_coming()) || starting(pool, snapshot).next().is_some() {
        return no(wake, "a worker is coming");
    }
    if let Some(worker) = workers
        .iter()
        .find(|w| w.state == WorkerState::Draining && alive(w, snapshot))
    {
        return ScalePlan {
            wake,
            grow: Grow::Undrain(worker.worker_id.clone()),
            reason: "a draining worker goes on",
        };
    }
    let stops = |worker: &model::Worker| {
        worker.state == WorkerState::Stopping && now.since(worker.state_since) < settings.boot_limit
    };
    if workers.iter().any(stops) {
        // The event that it has stopped brings the next look, which starts it again.
        return no(wake, "a worker is stopping and will be started again");
    }
    if pool
        .no_capacity_at
        .is_some_and(|at| now.since(at) < settings.capacity_pause)
    {
        return no(wake, "there was no capacity a moment ago");
    }
    let up = workers.iter().filter(|w| w.state.is_up()).count();
    if up >= pool.max_workers as usize {
        return no(wake, "the pool's limit is reached");
    }
    // A start that found no capacity is not tried again before other zones and types were.
    let startable = |worker: &&model::Worker| {
        worker.state == WorkerState::Stopped
            && worker
                .no_capacity_at
                .is_none_or(|at| now.since(at) >= 3 * settings.capacity_pause)
    };
    let stopped = workers.iter().filter(startable).max_by_key(|worker| worker.state_since);
    match stopped {
        Some(worker) => ScalePlan {
            wake,
            grow: Grow::Start(worker.worker_id.clone()),
            reason: "a stopped instance starts",
        },
        None if pool.instance_types.is_empty() => no(wake, "the pool has no instance types"),
        None => ScalePlan {
            wake,
            grow: Grow::Launch,
            reason: "a new instance launches",
        },
    }
}

fn alive(worker: &model::Worker, snapshot: &PoolSnapshot<'_>) -> bool {
    snapshot.now.since(worker.last_seen) < snapshot.settings.worker_silent
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

/// The ready worker to wake for a new task: one that answers, and rather one that has the model loaded.
pub fn first_to_wake<'a>(
    workers: &'a [model::Worker],
    model: Option<&str>,
    settings: &Settings,
    now: Millis,
) -> Option<&'a model::Worker> {
    let free = |worker: &&model::Worker| {
        worker.state == WorkerState::Ready
            && worker.connection.is_some()
            && now.since(worker.last_seen) < settings.worker_silent
    };
    let has_model = |worker: &&model::Worker| model.is_some_and(|model| worker.models.iter().any(|it| it == model));
    workers.iter().filter(free).max_by_key(has_model)
}

/// What to tell somebody whose task waits, by what the pool's workers do.
pub fn note(workers: &[model::Worker]) -> &'static str {
    let any = |wanted: fn(WorkerState) -> bool| workers.iter().any(|worker| wanted(worker.state));
    if any(|state| state == WorkerState::Ready) {
        "Starting."
    } else if any(|state| matches!(state, WorkerState::Busy | WorkerState::Draining)) {
        "Waiting for a GPU to be free."
    } else if any(WorkerState::is_coming) {
        "A GPU is waking up; this takes one or two minutes."
    } else {
        "Waiting for a GPU."
    }
}
