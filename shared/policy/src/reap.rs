//! When an idle worker stops: drain first, look again one tick later, then stop.
//!
//! Idling is renting when a start would be buying (the ski-rental problem): without any knowledge of what comes, idling
//! for as long as a start costs is at most twice as dear as knowing. Presence is knowledge, so the first worker stays
//! while somebody is there; where silence says little it stays longer. Further workers stop in the reverse order of
//! their coming, so that instances can empty.

use std::time::Duration;

use model::{Millis, Worker, WorkerId, WorkerState};
use serde::Serialize;

use crate::{forecast, hazard, meter, presence, snapshot::PoolSnapshot, wait};

/// What to do with one worker, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReapStep {
    /// Which worker.
    pub worker_id: WorkerId,
    /// What.
    pub action: ReapAction,
    /// In words, for the log.
    pub reason: &'static str,
}

/// A step of scale-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReapAction {
    /// `ready → draining`.
    Drain,
    /// `draining → ready`: it is needed after all.
    Undrain,
    /// `draining → stopping`, then stop the instance.
    Stop,
}

/// The steps for a pool's workers.
pub fn plan(snapshot: &PoolSnapshot<'_>) -> Vec<ReapStep> {
    snapshot
        .workers
        .iter()
        .filter_map(|worker| step(worker, snapshot))
        .collect()
}

/// The step for one worker. Called again on a consistent read of the worker before the step is committed.
pub fn step(worker: &Worker, snapshot: &PoolSnapshot<'_>) -> Option<ReapStep> {
    let PoolSnapshot { settings, now, .. } = *snapshot;
    let wanted = snapshot.wanted().next().is_some();
    let limited = is_limited(snapshot);
    // Whoever says for that long that it works, and has no task, works for somebody else.
    let worked_at = worker.worked_at.map_or(worker.up_since, |at| at.max(worker.up_since));
    let strange = now.since(worked_at) >= settings.dead_man;
    let quiet = strange
        || worker
            .gpu
            .and_then(|gpu| gpu.percent)
            .is_none_or(|percent| percent < settings.gpu_quiet_percent);
    // One that gave its run back, or fell silent, is nobody's until it is heard of again.
    let counts = worker.silent_since.is_none();
    // Draining can be taken back, so it begins early enough for the second look to fall on the end of the idle time.
    // A tick is a little longer than the least time between the looks.
    let soon = now + settings.drain_confirm * 6 / 5;
    let (action, reason) = match worker.state {
        WorkerState::Warming | WorkerState::Ready | WorkerState::Busy if worker.dismissed.is_some() => {
            (ReapAction::Drain, DISMISSED)
        }
        WorkerState::Draining if worker.dismissed.is_some() => {
            if worker.run.is_some() {
                return None;
            }
            (ReapAction::Stop, DISMISSED)
        }
        WorkerState::Ready if worker.run.is_none() && !wanted && quiet => {
            (ReapAction::Drain, stops(worker, snapshot, soon)?)
        }
        WorkerState::Draining if counts && wanted && !limited => (ReapAction::Undrain, "work arrived"),
        WorkerState::Draining if worker.run.is_some() => return None,
        // If it is not heard of again, its silence ends it.
        WorkerState::Draining if !counts && !limited && (wanted || !quiet) => return None,
        WorkerState::Draining if counts && !quiet => (ReapAction::Undrain, "the GPU is busy"),
        WorkerState::Draining if counts && stops(worker, snapshot, soon).is_none() => {
            (ReapAction::Undrain, "it is to stay after all")
        }
        WorkerState::Draining if now.since(worker.state_since) >= settings.drain_confirm => {
            (ReapAction::Stop, stops(worker, snapshot, now)?)
        }
        _ => return None,
    };
    Some(ReapStep {
        worker_id: worker.worker_id.clone(),
        action,
        reason,
    })
}

const DISMISSED: &str = "an operator wants it off";

/// Why an idle worker should be off at this moment, by what is known now; none if it is to stay.
fn stops(worker: &Worker, snapshot: &PoolSnapshot<'_>, at: Millis) -> Option<&'static str> {
    if is_limited(snapshot) {
        return Some("the pool's monthly limit is reached");
    }
    let level = level(worker, snapshot);
    let floor = forecast::floor(snapshot.pool.forecast.as_ref(), snapshot.now);
    stops_with(worker, snapshot, at, level, floor)
}

/// Whether machines may cost nothing more.
fn is_limited(snapshot: &PoolSnapshot<'_>) -> bool {
    meter::is_reached(snapshot.pool, snapshot.workers, snapshot.now)
}

fn stops_with(
    worker: &Worker,
    snapshot: &PoolSnapshot<'_>,
    at: Millis,
    level: u32,
    floor: u32,
) -> Option<&'static str> {
    let settings = snapshot.settings;
    let idle = worker.idle_since.map_or(Duration::ZERO, |since| at.since(since));
    if worker.is_outdated() {
        return Some("its machine image is not the one that is launched now");
    }
    if idle >= settings.idle_stop {
        return Some("idle for as long as anybody may be, with a quiet GPU");
    }
    if at.since(worker.up_since) < settings.min_billing {
        return None;
    }
    if level <= floor {
        return None;
    }
    if level > 1 {
        // While the workers before it would make painters wait under this load, it stays.
        let busy = wait::steady(snapshot, level - 1) > settings.wait_target / 2;
        return (idle >= settings.idle_watched && !busy).then_some("fewer workers are enough, and this one came last");
    }
    if let Some(keeps) = hazard::keeps(snapshot, at) {
        return (!keeps).then_some("it would idle for more than the next request is likely to save");
    }
    if present(snapshot, at) {
        return None;
    }
    let (limit, why) = if presence::all_watched(snapshot.presence, snapshot.now) {
        (settings.idle_watched, "nobody is at their canvas")
    } else {
        (settings.idle_blind, "idle with a quiet GPU")
    };
    (idle >= limit).then_some(why)
}

fn present(snapshot: &PoolSnapshot<'_>, at: Millis) -> bool {
    let mut stays = snapshot.presence.iter();
    stays.any(|stay| presence::keeps_worker(stay, snapshot.settings, at))
}

/// The worker's place among those that serve, by when they came up, from 1.
fn level(worker: &Worker, snapshot: &PoolSnapshot<'_>) -> u32 {
    let place = |it: &Worker| (it.up_since, it.worker_id.clone());
    let mine = place(worker);
    let before = snapshot
        .workers
        .iter()
        .filter(|it| snapshot.serves(it) && place(it) < mine);
    u32::try_from(before.count()).map_or(u32::MAX, |before| before.saturating_add(1))
}

/// How many workers are up anyway, and how many are kept for the forecast alone: what its credit is settled by. Workers
/// that it started were paid for when they were.
pub fn kept_for_forecast(snapshot: &PoolSnapshot<'_>) -> (u32, u32) {
    let floor = forecast::floor(snapshot.pool.forecast.as_ref(), snapshot.now);
    let wanted = snapshot.wanted().next().is_some();
    let (mut anyway, mut kept) = (0, 0);
    for worker in snapshot.workers.iter().filter(|worker| worker.state.is_up()) {
        let level = level(worker, snapshot);
        let idle = worker.state == WorkerState::Ready && !wanted;
        if idle && level <= floor && stops_with(worker, snapshot, snapshot.now, level, 0).is_some() {
            kept += 1;
        } else {
            anyway += 1;
        }
    }
    (anyway, kept)
}
