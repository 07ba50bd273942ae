//! Which waiting task a free worker gets.

use std::time::Duration;

use model::{BacklogEntry, Lane, Millis, Settings, TaskId, Worker};

use crate::fair;

/// Most tasks that one with its model loaded may overtake.
const WINDOW: usize = 32;

/// The tasks to try, best first: in fair order, but a task whose main model is in the worker's VRAM goes before others
/// that are near it in line ([`Settings::look_ahead`]) and have not waited long ([`Settings::pass_over`]). Expired ones are
/// left to `lifecycle`. Whatever is waiting is in the answer: a free worker never idles while it could serve.
pub fn choose(backlog: &[BacklogEntry], worker: &Worker, settings: &Settings, now: Millis) -> Vec<TaskId> {
    let mut entries: Vec<_> = backlog.iter().filter(|entry| entry.expires_at > now).collect();
    entries.sort_unstable_by_key(|entry| (entry.start_tag, entry.task_id));
    if let Some(at) = loaded(&entries, worker, settings, now) {
        entries[..=at].rotate_right(1);
    }
    entries.into_iter().map(|entry| entry.task_id).collect()
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
