//! Which waiting task a free worker gets.

use std::time::Duration;

use model::{BacklogEntry, Estimates, Lane, Millis, Settings, TaskId, Worker, WorkerId};

use crate::{
    fair,
    load::{self, Place},
    scale,
    snapshot::PoolSnapshot,
};

/// Most tasks that one with its model loaded may overtake.
const WINDOW: usize = 32;

/// Who overtakes has its model in the GPU sooner by this much at least: what is gained by less is less than what it costs to
/// wait out of turn.
const GAIN: Duration = Duration::from_secs(1);

/// The tasks to try, best first: in fair order, but a task whose main model the worker has sooner ([`load::time`]) goes before
/// others that are near it in line ([`Settings::look_ahead`]) and have not waited long ([`Settings::pass_over`]). Expired ones are
/// left to `lifecycle`. Whatever is waiting is in the answer: a free worker never idles while it could serve; but what
/// failed on this very worker comes last, and only one that [`is_alone`] is to take it.
pub fn choose(
    backlog: &[BacklogEntry],
    worker: &Worker,
    estimates: &Estimates,
    settings: &Settings,
    now: Millis,
) -> Vec<TaskId> {
    let mut entries: Vec<_> = backlog.iter().filter(|entry| entry.expires_at > now).collect();
    entries.sort_unstable_by_key(|entry| fair::order(entry));
    if let Some(at) = nearest(&entries, worker, estimates, settings, now) {
        entries[..=at].rotate_right(1);
    }
    entries.sort_by_key(|entry| failed_on(entry, worker));
    entries.into_iter().map(|entry| entry.task_id).collect()
}

/// Whether the task failed last on this worker.
fn failed_on(entry: &BacklogEntry, worker: &Worker) -> bool {
    entry.failed_on.as_ref() == Some(&worker.worker_id)
}

/// Whether a worker must take even what failed on it last: nobody else of its pool is up or coming, and nobody can be
/// started.
pub fn is_alone(worker: &WorkerId, snapshot: &PoolSnapshot<'_>) -> bool {
    let mut others = snapshot.workers.iter().filter(|it| it.worker_id != *worker);
    let other = others.any(|it| it.state.is_coming() || snapshot.serves(it));
    !other && !scale::can_grow(snapshot)
}

/// How long a task is left to a worker that was woken for it: so long a wake and a claim take at most.
const COURTESY: Duration = Duration::from_secs(2);

/// Whether a task that is new, and whose model this worker would have to fetch, is left to another free worker, which was woken for
/// it since it has the model so much sooner. One that waits for longer is anybody's.
pub fn is_anothers(
    entry: &BacklogEntry,
    worker: &Worker,
    workers: &[Worker],
    estimates: &Estimates,
    settings: &Settings,
    now: Millis,
) -> bool {
    if !may_be_anothers(entry, worker, estimates, now) {
        return false;
    }
    let own = load::time(estimates, entry.model.as_deref(), worker);
    let woken = scale::first_to_wake(workers, entry.model.as_deref(), estimates, settings, now);
    woken.is_some_and(|it| {
        it.worker_id != worker.worker_id
            && !failed_on(entry, it)
            && load::time(estimates, entry.model.as_deref(), it) + COURTESY < own
    })
}

/// Whether the other workers have to be looked at to know that.
pub fn may_be_anothers(entry: &BacklogEntry, worker: &Worker, estimates: &Estimates, now: Millis) -> bool {
    let model = entry.model.as_deref();
    now.since(entry.created) < COURTESY
        && Place::of(model, worker) > Place::Disk
        && load::time(estimates, model, worker) > COURTESY
}

/// Place of the first task of those whose model is there soonest, as far as it may overtake.
fn nearest(
    entries: &[&BacklogEntry],
    worker: &Worker,
    estimates: &Estimates,
    settings: &Settings,
    now: Millis,
) -> Option<usize> {
    let head = entries.first()?.start_tag;
    let mut most_urgent = Lane::Batch;
    let mut best: Option<(Duration, usize)> = None;
    for (at, entry) in entries.iter().enumerate().take(WINDOW) {
        if entry.start_tag.saturating_sub(head) > reach(settings.look_ahead, entry.lane) {
            break;
        }
        most_urgent = most_urgent.min(entry.lane);
        // Who needs no model is served in turn, but overtakes nobody, since that would save no loading. Who is less urgent
        // overtakes nobody either.
        if (at == 0 || entry.model.is_some()) && entry.lane == most_urgent {
            let load = load::time(estimates, entry.model.as_deref(), worker);
            if best.is_none_or(|(least, _)| load + GAIN <= least) {
                best = Some((load, at));
            }
            if load.is_zero() {
                break;
            }
        }
        if now.since(entry.created) >= settings.pass_over {
            break;
        }
    }
    best.map(|(_, at)| at)
}

fn reach(look_ahead: Duration, lane: Lane) -> u64 {
    fair::length(look_ahead, lane)
}
