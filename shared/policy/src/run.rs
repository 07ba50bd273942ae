//! What becomes of a task and its worker when a run ends, and when a machine is lost.

use model::{
    Blame, Failure, FailureClass, Millis, Outcome, RunEnd, RunId, RunRef, Task, TransitionError, Worker,
    WorkerEdgeError, WorkerState,
};

/// Ends a run as its worker says, on the task and on the worker, if that still holds it.
pub fn end(
    task: &mut Task,
    worker: Option<&mut Worker>,
    run_id: RunId,
    outcome: Outcome,
    now: Millis,
) -> Result<RunEnd, TransitionError> {
    let good = matches!(outcome, Outcome::Succeeded(..));
    let failed = match &outcome {
        Outcome::Failed(failure) => Some((failure.class, failure.blame)),
        Outcome::Succeeded(..) | Outcome::Interrupted => None,
    };
    let here = matches!(failed, Some((FailureClass::Infrastructure, _)));
    let broke = here && !matches!(failed, Some((_, Blame::Request)));
    let gives_back = matches!(failed, Some((FailureClass::Capacity, _)));
    let end = task.end_run(run_id, outcome, now)?;
    if let Some(worker) = worker.filter(|it| it.run.is_some_and(|run| run.run_id == run_id)) {
        worker.release(run_id, now);
        if here {
            task.failed_on = Some(worker.worker_id.clone());
        }
        if good {
            worker.failed.clear();
        } else if broke && !worker.failed.contains(&task.task_id) {
            worker.failed.push(task.task_id);
        }
        if gives_back {
            // It is about to stop: nobody counts on it until it is heard of again. One that drains already goes on.
            let _ = worker.become_state(WorkerState::Draining, now);
            worker.silent_since = Some(now);
        }
        if is_sick(worker) {
            // Another machine takes its place. Cannot fail: whoever rendered may fail.
            let _ = worker.become_state(WorkerState::Failed, now);
        }
    }
    Ok(end)
}

/// So many different tasks in a row fail on a machine before it is the machine's fault.
const SICK: usize = 2;

/// Whether a worker has shown by its failures that it is of no use.
pub fn is_sick(worker: &Worker) -> bool {
    worker.failed.len() >= SICK
}

/// Ends a run whose worker fell silent: the task waits again at its old place, or is over. Nobody counts on the worker
/// until it is heard of again.
pub fn fell_silent(
    task: &mut Task,
    worker: Option<&mut Worker>,
    run_id: RunId,
    now: Millis,
) -> Result<RunEnd, TransitionError> {
    let end = lost(task, run_id, "The machine that rendered it fell silent.", now)?;
    if let Some(worker) = worker {
        worker.lose(run_id, now);
    }
    Ok(end)
}

/// Ends a run that was lost with its machine: the task waits again at its old place, or is over.
pub fn machine_lost(task: &mut Task, run_id: RunId, now: Millis) -> Result<RunEnd, TransitionError> {
    lost(task, run_id, "The machine that rendered it was lost.", now)
}

/// Takes a run back at an operator's word: the task waits again at its old place, and it counts as nobody's failure.
pub fn taken_back(
    task: &mut Task,
    worker: Option<&mut Worker>,
    run_id: RunId,
    now: Millis,
) -> Result<RunEnd, TransitionError> {
    let failure = Failure::new(FailureClass::Capacity, "Your studio's operator sent it back in line.");
    let end = task.end_run(run_id, Outcome::Failed(failure), now)?;
    if let Some(worker) = worker {
        worker.release(run_id, now);
    }
    Ok(end)
}

/// Takes a run back for somebody who waits: the task waits again at this place in line, and it counts as nobody's failure.
pub fn preempted(
    task: &mut Task,
    worker: Option<&mut Worker>,
    run_id: RunId,
    start_tag: u64,
    now: Millis,
) -> Result<RunEnd, TransitionError> {
    let failure = Failure::new(FailureClass::Capacity, "Somebody at the canvas came first.");
    let end = task.end_run(run_id, Outcome::Failed(failure), now)?;
    task.preempted = task.preempted.saturating_add(1);
    task.start_tag = start_tag;
    if let Some(worker) = worker {
        worker.release(run_id, now);
    }
    Ok(end)
}

/// Wants a worker's machine off: it takes no more work, and stops once it has none; `at_once`: it lets go of its run. One
/// that comes up stops as soon as it is up. False: it is off or about to be, and nothing is to be written.
pub fn dismiss(worker: &mut Worker, at_once: bool, now: Millis) -> bool {
    if !worker.state.is_up() || matches!(worker.state, WorkerState::Stopping | WorkerState::Failed) {
        return false;
    }
    let lets_go = at_once && worker.run.is_some();
    if worker.dismissed.is_some() && !lets_go {
        return false;
    }
    worker.dismissed = worker.dismissed.or(Some(now));
    if let Some(run) = worker.run.filter(|_| at_once) {
        worker.release(run.run_id, now);
    }
    if matches!(
        worker.state,
        WorkerState::Warming | WorkerState::Ready | WorkerState::Busy
    ) {
        // Cannot fail: these edges exist.
        let _ = worker.become_state(WorkerState::Draining, now);
    }
    true
}

/// Lets a dismissed worker stay after all. It goes on once the reaper or the next work finds that it is to.
pub fn keep(worker: &mut Worker) -> bool {
    worker.dismissed.take().is_some()
}

/// Whatever became of the machine: the task is rather another one's next.
fn lost(task: &mut Task, run_id: RunId, message: &str, now: Millis) -> Result<RunEnd, TransitionError> {
    let on = task.run_mut(run_id)?.worker_id.clone();
    let failure = Failure::new(FailureClass::Infrastructure, message);
    let end = task.end_run(run_id, Outcome::Failed(failure), now)?;
    task.failed_on = Some(on);
    Ok(end)
}

/// Moves a worker along an edge. Where there is no machine that answers any more there is no run either.
pub fn moved(worker: &mut Worker, to: WorkerState, now: Millis) -> Result<(), WorkerEdgeError> {
    worker.become_state(to, now)?;
    if matches!(to, WorkerState::Failed | WorkerState::Stopped | WorkerState::Gone) {
        worker.run = None;
    }
    Ok(())
}

/// The run that was lost with a change of its worker, to be ended with it by [`machine_lost`].
pub fn dropped(before: Option<RunRef>, after: &Worker) -> Option<RunRef> {
    before.filter(|_| after.run.is_none())
}
