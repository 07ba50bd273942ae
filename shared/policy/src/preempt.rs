//! Which batch runs are taken back for those who wait in front of the screen while nobody is free.
//!
//! The fair order is kept: only who is before every waiting task of the batch lane has a run taken back, and that run's task has its
//! turn one length of its own later, so that who asks for several pictures gets as many first as their lane's weight says. What a run
//! has done by then is lost, so there are bounds on it: so many runs of a task ([`model::Settings::preemptions`]), and none that is
//! about to end.

use std::time::Duration;

use model::{BacklogEntry, Lane, RunId, Task, TaskId, TaskState, Worker, WorkerState};

use crate::{estimate, fair, snapshot::PoolSnapshot};

/// A run is taken back only if it is expected to go on for so long at least: to interrupt one takes a step of its sampler, a report
/// and a claim, which is about half of this.
const LEAST: Duration = Duration::from_secs(1);

/// A run to be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preemption {
    /// Whose run it is.
    pub task_id: TaskId,
    /// The run.
    pub run_id: RunId,
    /// The task's new place in line.
    pub start_tag: u64,
}

/// Those at the head of the line for whom no worker is free, and who wait in front of the screen.
pub fn waiting<'a>(snapshot: &PoolSnapshot<'a>) -> Vec<&'a BacklogEntry> {
    let free = snapshot.workers.iter().filter(|it| is_free(it, snapshot)).count();
    let mut line: Vec<_> = snapshot.wanted().collect();
    line.sort_unstable_by_key(|entry| fair::order(entry));
    line.into_iter()
        .skip(free)
        .take_while(|it| it.lane != Lane::Batch)
        .collect()
}

/// Whether the worker takes work now, or does once this plan is carried out, which lets it go on.
fn is_free(worker: &Worker, snapshot: &PoolSnapshot<'_>) -> bool {
    let may = match worker.state {
        WorkerState::Ready => true,
        WorkerState::Draining => worker.run.is_none(),
        _ => false,
    };
    may && worker.dismissed.is_none() && snapshot.answers(worker)
}

/// Whether the worker's run may be one to take back, as far as its own item says: it could be told.
pub fn may_be_taken(worker: &Worker, snapshot: &PoolSnapshot<'_>) -> bool {
    worker.state == WorkerState::Busy
        && worker.connection.is_some()
        && worker.dismissed.is_none()
        && snapshot.answers(worker)
}

/// Which of these running tasks give way, one for each of those who wait: the one begun last first, of which least is lost.
pub fn choose(waiting: &[&BacklogEntry], running: &[Task], snapshot: &PoolSnapshot<'_>) -> Vec<Preemption> {
    let mut left: Vec<_> = running.iter().filter(|it| gives_way(it, snapshot)).collect();
    left.sort_by_key(|task| (task.claimed_at, task.task_id));
    let mut chosen = Vec::new();
    for entry in waiting {
        // What failed on a worker is not to be its next.
        let fits = |task: &&Task| {
            let on = task.run.as_ref().map(|run| &run.worker_id);
            entry.failed_on.is_none() || on != entry.failed_on.as_ref()
        };
        let Some(at) = left.iter().rposition(fits) else {
            continue;
        };
        let task = left.remove(at);
        let length = fair::length(expected(task, snapshot), task.lane);
        chosen.extend(task.run.as_ref().map(|run| Preemption {
            task_id: task.task_id,
            run_id: run.run_id,
            start_tag: entry.start_tag.max(task.start_tag).saturating_add(length),
        }));
    }
    chosen
}

/// Whether this task's run may be taken back at all.
fn gives_way(task: &Task, snapshot: &PoolSnapshot<'_>) -> bool {
    let Some(run) = &task.run else { return false };
    let rest = expected(task, snapshot).saturating_sub(snapshot.now.since(run.claimed_at));
    task.state == TaskState::Running
        && task.lane == Lane::Batch
        && task.preempted < snapshot.settings.preemptions
        && rest >= LEAST
}

fn expected(task: &Task, snapshot: &PoolSnapshot<'_>) -> Duration {
    estimate::run(snapshot.estimates, task.model.as_deref(), task.work)
}
