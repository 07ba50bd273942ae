//! What becomes of a task and its worker when a run ends, and when a machine is lost.

use model::{
    Failure, FailureClass, Millis, Outcome, RunEnd, RunId, RunRef, Task, TransitionError, Worker, WorkerEdgeError,
    WorkerState,
};

/// Ends a run as its worker says, on the task and on the worker, if that still holds it.
pub fn end(
    task: &mut Task,
    worker: Option<&mut Worker>,
    run_id: RunId,
    outcome: Outcome,
    now: Millis,
) -> Result<RunEnd, TransitionError> {
    let end = task.end_run(run_id, outcome, now)?;
    if let Some(worker) = worker {
        worker.release(run_id, now);
    }
    Ok(end)
}

/// Ends a run whose worker fell silent: the task waits again at its old place, or is over. Nobody counts on the worker
/// until it is heard of again.
pub fn fell_silent(
    task: &mut Task,
    worker: Option<&mut Worker>,
    run_id: RunId,
    now: Millis,
) -> Result<RunEnd, TransitionError> {
    let end = task.end_run(run_id, infrastructure("The machine that rendered it fell silent."), now)?;
    if let Some(worker) = worker {
        worker.lose(run_id, now);
    }
    Ok(end)
}

/// Ends a run that was lost with its machine: the task waits again at its old place, or is over.
pub fn machine_lost(task: &mut Task, run_id: RunId, now: Millis) -> Result<RunEnd, TransitionError> {
    task.end_run(run_id, infrastructure("The machine that rendered it was lost."), now)
}

fn infrastructure(message: &str) -> Outcome {
    Outcome::Failed(Failure::new(FailureClass::Infrastructure, message))
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
