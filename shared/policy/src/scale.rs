//! When to wake, start or launch a worker.

use std::time::Duration;

use model::{BacklogEntry, Estimates, Millis, Pool, Settings, Worker, WorkerId, WorkerState};
use serde::Serialize;

use crate::{
    breaker::{self, Verdict},
    coming::coming,
    estimate, forecast, hazard, load, meter, presence,
    snapshot::PoolSnapshot,
    wait,
};

/// What to do for a pool, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScalePlan {
    /// Ready workers to tell that there is work.
    pub wake: Vec<WorkerId>,
    /// At most one change of the fleet.
    pub grow: Grow,
    /// Only the forecast asks for it, and pays with its credit.
    pub for_forecast: bool,
    /// More is needed, and nothing may be started: those who wait should know.
    pub paused: bool,
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

/// One worker for whoever waits or is present, or for the forecast; a further one when the predicted wait is long and
/// what it saves in waiting is worth what it costs. One change at a time.
pub fn plan(snapshot: &PoolSnapshot<'_>) -> ScalePlan {
    let wake = if snapshot.backlog.is_empty() {
        Vec::new()
    } else {
        // A wake costs nothing, so one that an index shows as unheard of is told, too; one that lost its run is not.
        snapshot
            .in_state(WorkerState::Ready)
            .filter(|w| w.silent_since.is_none())
            .map(|w| w.worker_id.clone())
            .collect()
    };
    let (grow, reason) = match need(snapshot) {
        Ok(reason) => grow(snapshot, reason),
        Err(reason) => (Grow::No, reason),
    };
    ScalePlan {
        wake,
        grow,
        for_forecast: reason == FORECAST,
        paused: matches!(reason, PAUSED | LIMIT),
        reason,
    }
}

const FORECAST: &str = "the forecast asks for more";
const PAUSED: &str = "starts are paused, since too many failed";
const LIMIT: &str = "the pool's monthly limit is reached";

/// Why one more worker is needed, or why not.
fn need(snapshot: &PoolSnapshot<'_>) -> Result<&'static str, &'static str> {
    let PoolSnapshot {
        pool, settings, now, ..
    } = *snapshot;
    let waits = snapshot.wanted().next().is_some();
    let serving = snapshot.workers.iter().filter(|w| snapshot.serves(w)).count();
    let coming = coming(snapshot);
    let have = u32::try_from(serving + coming).unwrap_or(u32::MAX);
    if coming > 0 {
        return Err("a worker is coming");
    }
    if serving == 0 && waits {
        return Ok("somebody waits");
    }
    if serving == 0 {
        let mut stays = snapshot.presence.iter();
        match hazard::starts(snapshot) {
            Some(true) => return Ok("somebody will probably ask soon"),
            None if stays.any(|stay| presence::keeps_worker(stay, settings, now)) => return Ok("somebody is present"),
            Some(false) | None => {}
        }
    }
    if snapshot.wanted().any(|entry| failed_everywhere(entry, snapshot)) {
        return Ok("a picture failed on the only machine that is up");
    }
    if waits && let Some(reason) = helps(snapshot) {
        return Ok(reason);
    }
    if serving > 0 && wait::steady(snapshot, have) > settings.wait_target {
        return Ok("if the load goes on, the wait will be long");
    }
    let forecast = pool.forecast.as_ref();
    if forecast::floor(forecast, now) > have
        && forecast::affords(forecast, estimate::start(snapshot.estimates), settings)
    {
        return Ok(FORECAST);
    }
    Err(match (serving, waits) {
        (0, _) => "nothing waits that anybody asks for",
        (_, true) => "the workers that are up do",
        (_, false) => "a worker is up",
    })
}

/// Whether nobody is up but the worker on which the task failed last.
fn failed_everywhere(entry: &BacklogEntry, snapshot: &PoolSnapshot<'_>) -> bool {
    let mut serving = snapshot.workers.iter().filter(|it| snapshot.serves(it));
    entry
        .failed_on
        .as_ref()
        .is_some_and(|on| serving.all(|it| it.worker_id == *on))
}

/// A painter's time is worth at least this many times a GPU's.
const PAINTER: u32 = 4;

/// Whether a worker more than those that are up would help those who wait by what it costs.
fn helps(snapshot: &PoolSnapshot<'_>) -> Option<&'static str> {
    let PoolSnapshot { settings, now, .. } = *snapshot;
    let mut ready = snapshot.in_state(WorkerState::Ready);
    let mut draining = snapshot.in_state(WorkerState::Draining);
    if draining.any(|w| snapshot.answers(w) && w.dismissed.is_none()) && !ready.any(|w| snapshot.answers(w)) {
        return Some("everybody is busy, and one drains");
    }
    let start = estimate::start(snapshot.estimates);
    let mut free = wait::free_in(snapshot);
    let sum = |line: &[(&BacklogEntry, Duration, Duration)]| {
        line.iter()
            .fold(Duration::ZERO, |sum, (_, wait, _)| sum.saturating_add(*wait))
    };
    let without = wait::waits(snapshot, &free);
    let longest = without.iter().map(|(_, wait, _)| *wait).max()?;
    if longest <= settings.wait_target {
        return None;
    }
    free.push(start);
    let saved = sum(&without).saturating_sub(sum(&wait::waits(snapshot, &free)));
    let hot = snapshot
        .in_state(WorkerState::Busy)
        .any(|w| w.hot_since.is_some_and(|since| now.since(since) >= settings.hot_for));
    if saved.saturating_mul(PAINTER) >= start.saturating_add(settings.idle_watched) {
        Some("a further worker saves more waiting than it costs")
    } else if hot {
        Some("a GPU has been at its limit for minutes, and the wait is long")
    } else {
        None
    }
}

/// Whether there could be one more worker now.
pub(crate) fn can_grow(snapshot: &PoolSnapshot<'_>) -> bool {
    grow(snapshot, "").0 != Grow::No
}

/// The cheapest way to one more worker.
fn grow(snapshot: &PoolSnapshot<'_>, reason: &'static str) -> (Grow, &'static str) {
    let PoolSnapshot {
        pool,
        workers,
        settings,
        now,
        ..
    } = *snapshot;
    if meter::is_reached(pool, workers, now) {
        return (Grow::No, LIMIT);
    }
    let mut draining = snapshot.in_state(WorkerState::Draining);
    if let Some(worker) = draining.find(|w| snapshot.answers(w) && w.dismissed.is_none()) {
        return (Grow::Undrain(worker.worker_id.clone()), reason);
    }
    if breaker::verdict(&pool.breaker, settings, now) == Verdict::Open {
        return (Grow::No, PAUSED);
    }
    let up = workers.iter().filter(|w| w.state.is_up()).count();
    if up >= pool.max_workers as usize {
        return (Grow::No, "the pool's limit is reached");
    }
    // Each offering that had no capacity is left alone for a while; a stopped instance is an offering of its own.
    let rested = |at: Option<Millis>| at.is_none_or(|at| now.since(at) >= settings.capacity_pause);
    let startable = snapshot
        .in_state(WorkerState::Stopped)
        .filter(|w| !w.is_outdated() && rested(w.no_capacity_at));
    if let Some(worker) = startable.max_by_key(|worker| worker.state_since) {
        return (Grow::Start(worker.worker_id.clone()), reason);
    }
    // Sooner there than one that has to stop first. Once there are two, one of them is stopped for good.
    let launchable = !pool.instance_types.is_empty() && rested(pool.no_capacity_at);
    if !launchable
        && snapshot
            .in_state(WorkerState::Stopping)
            .any(|w| now.since(w.state_since) < settings.boot_limit)
    {
        // The event that it has stopped brings the next look, which starts it again.
        return (Grow::No, "a worker is stopping and will be started again");
    }
    if pool.instance_types.is_empty() {
        return (Grow::No, "the pool has no instance types");
    }
    if !launchable {
        return (Grow::No, "there was no capacity a moment ago");
    }
    (Grow::Launch, reason)
}

/// The ready worker to wake for a new task, of those that answer: rather one that has the model soonest, then one with
/// room for it, then the one that came up first, so that the last ones can stop.
pub fn first_to_wake<'a>(
    workers: &'a [Worker],
    model: Option<&str>,
    estimates: &Estimates,
    settings: &Settings,
    now: Millis,
) -> Option<&'a Worker> {
    let free = |worker: &&Worker| {
        worker.state == WorkerState::Ready && worker.connection.is_some() && worker.answers(settings.worker_silent, now)
    };
    workers.iter().filter(free).min_by_key(|worker| {
        (
            load::time(estimates, model, worker),
            worker.models.len(),
            worker.up_since,
        )
    })
}

/// What to tell those who wait while nothing may be started.
pub fn paused(pool: &Pool, workers: &[Worker], settings: &Settings, now: Millis) -> Option<&'static str> {
    if meter::is_reached(pool, workers, now) {
        Some(meter::PAUSED)
    } else {
        breaker::paused(&pool.breaker, settings, now)
    }
}

/// What to tell somebody whose task waits, by what the pool's workers do. `paused`: by [`paused`].
pub fn note(workers: &[Worker], paused: Option<&'static str>) -> &'static str {
    let heard = workers.iter().filter(|worker| worker.silent_since.is_none());
    let any = |wanted: fn(WorkerState) -> bool| heard.clone().any(|worker| wanted(worker.state));
    if any(|state| state == WorkerState::Ready) {
        "Starting."
    } else if any(|state| matches!(state, WorkerState::Busy | WorkerState::Draining)) {
        "Waiting for a GPU to be free."
    } else if any(WorkerState::is_coming) {
        "A GPU is waking up; this takes one or two minutes."
    } else {
        paused.unwrap_or("Waiting for a GPU.")
    }
}
