//! Which waiting task a free worker gets.

use std::time::Duration;

use model::{BacklogEntry, Lane, Millis, Settings, TaskId, Worker, WorkerId};

use crate::{fair, scale, snapshot::PoolSnapshot};

/// Most tasks that one with its model loaded may overtake.
const WINDOW: usize = 32;

/// The tasks to try, best first: in fair order, but a task whose main model is in the worker's VRAM goes before others
/// that are near it in line ([`Settings::look_ahead`]) and have not waited long ([`Settings::pass_over`]). Expired ones are
/// left to `lifecycle`. Whatever is waiting is in the answer: a free worker never idles while it could serve; but what
/// failed on this very worker comes last, and only one that [`is_alone`] is to take it.
pub fn choose(backlog: &[BacklogEntry], worker: &Worker, settings: &Settings, now: Millis) -> Vec<TaskId> {
    let mut entries: Vec<_> = backlog.iter().filter(|entry| entry.expires_at > now).collect();
    entries.sort_unstable_by_key(|entry| (entry.start_tag, entry.task_id));
    if let Some(at) = loaded(&entries, worker, settings, now) {
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

/// Place of the first task whose model is loaded, as far as it may overtake.
fn loaded(entries: &[&BacklogEntry], worker: &Worker, settings: &Settings, now: Millis) -> Option<usize> {
    let head = entries.first()?.start_tag;
    let mut most_urgent = Lane::Batch;
    for (at, entry) in entries.iter().enumerate().take(WINDOW) {
        if entry.start_tag.saturating_sub(head) > reach(settings.look_ahead, entry.lane) {
            return None;
        }
        // Who needs no model is served in turn, but overtakes nobody, since that would save no loading.
        let has_model = entry
            .model
            .as_ref()
            .map_or(at == 0, |model| worker.models.contains(model));
        most_urgent = most_urgent.min(entry.lane);
        // Who is less urgent overtakes nobody.
        if has_model && entry.lane == most_urgent {
            return Some(at);
        }
        if now.since(entry.created) >= settings.pass_over {
            return None;
        }
    }
    None
}

fn reach(look_ahead: Duration, lane: Lane) -> u64 {
    fair::length(look_ahead, lane)
}
