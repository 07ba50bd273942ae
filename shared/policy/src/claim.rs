//! Which waiting task a free worker gets.

use std::time::Duration;

use model::{BacklogEntry, Lane, Millis, Settings, TaskId, Worker, WorkerId, worker_api::ModelFile};

use crate::{fair, scale, snapshot::PoolSnapshot};

/// Most tasks that one with its model loaded may overtake.
const WINDOW: usize = 32;

/// The tasks to try, best first: in fair order, but a task whose main model the worker has at hand ([`Reach`]) goes before
/// others that are near it in line ([`Settings::look_ahead`]) and have not waited long ([`Settings::pass_over`]). Expired ones are
/// left to `lifecycle`. Whatever is waiting is in the answer: a free worker never idles while it could serve; but what
/// failed on this very worker comes last, and only one that [`is_alone`] is to take it.
pub fn choose(backlog: &[BacklogEntry], worker: &Worker, settings: &Settings, now: Millis) -> Vec<TaskId> {
    let mut entries: Vec<_> = backlog.iter().filter(|entry| entry.expires_at > now).collect();
    entries.sort_unstable_by_key(|entry| (entry.start_tag, entry.task_id));
    if let Some(at) = nearest(&entries, worker, settings, now) {
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

/// How far a model is from a worker's GPU: what is further takes several times as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// In VRAM, or none is needed.
    Loaded,
    /// On the machine's own disk, as what the image has always is: 2 to 12 GB at some GB/s.
    OnDisk,
    /// To be fetched: the same at some hundred MB/s.
    Away,
}

impl Reach {
    /// How far this model is from this worker.
    pub fn of(model: Option<&str>, worker: &Worker) -> Self {
        let Some(model) = model else { return Self::Loaded };
        let is = |it: &String| it == model;
        match ModelFile::mark(model) {
            _ if worker.models.iter().any(is) => Self::Loaded,
            Some(mark) if !worker.on_disk.iter().any(|it| it == mark) => Self::Away,
            _ => Self::OnDisk,
        }
    }
}

/// Place of the first task of those whose model is nearest, as far as it may overtake.
fn nearest(entries: &[&BacklogEntry], worker: &Worker, settings: &Settings, now: Millis) -> Option<usize> {
    let head = entries.first()?.start_tag;
    let mut most_urgent = Lane::Batch;
    let mut best: Option<(Reach, usize)> = None;
    for (at, entry) in entries.iter().enumerate().take(WINDOW) {
        if entry.start_tag.saturating_sub(head) > reach(settings.look_ahead, entry.lane) {
            break;
        }
        most_urgent = most_urgent.min(entry.lane);
        // Who needs no model is served in turn, but overtakes nobody, since that would save no loading. Who is less urgent
        // overtakes nobody either.
        if (at == 0 || entry.model.is_some()) && entry.lane == most_urgent {
            let reach = Reach::of(entry.model.as_deref(), worker);
            if best.is_none_or(|(nearest, _)| reach < nearest) {
                best = Some((reach, at));
            }
            if reach == Reach::Loaded {
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
