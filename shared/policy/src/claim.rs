//! Which waiting task a free worker gets.

use model::{BacklogEntry, Millis, TaskId, Worker};

/// The tasks to try, best first: first in, first out. Expired ones are left to `lifecycle`.
///
/// Fair order, the model already loaded and the age bound come with the scheduling issue, behind this signature.
pub fn choose(backlog: &[BacklogEntry], _worker: &Worker, now: Millis) -> Vec<TaskId> {
    let mut entries: Vec<_> = backlog.iter().filter(|entry| entry.expires_at > now).collect();
    entries.sort_by_key(|entry| (entry.start_tag, entry.task_id));
    entries.into_iter().map(|entry| entry.task_id).collect()
}
