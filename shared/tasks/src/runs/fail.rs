use cloud::{Cloud, on_conflict};
use model::{Failure, FailureClass, Millis, Outcome, Task, TaskId, TransitionError};
use tracing::info;

use super::{Ended, RunError, end_run, settle};
use crate::notify::tell_owner;

/// Ends a task without a picture, for good, whether it waits or runs, and tells whom it concerns. It costs nothing.
/// `message`: one plain sentence for its owner.
pub async fn fail(cloud: &Cloud, task_id: TaskId, message: &str, now: Millis) -> Result<Task, RunError> {
    let failure = Failure::new(FailureClass::User, message);
    let task = cloud.store.get(&task_id).await?.ok_or(RunError::NoTask)?;
    if let Some(run) = &task.run {
        return Ok(end(cloud, task_id, run.run_id, failure, now).await?.task);
    }
    let task = on_conflict!({
        let mut task = cloud.store.get(&task_id).await?.ok_or(RunError::NoTask)?;
        task.fail(failure.clone(), now)?;
        let writes = settle::writes(cloud, &mut task, None).await?;
        cloud.store.commit_all(&writes).await?;
        Ok::<_, RunError>(task)
    })?;
    info!(task.id = %task_id, task.state = ?task.state, "failed by an operator");
    tell_owner(cloud, &task, None).await;
    Ok(task)
}

/// Takes a running task from its worker: it waits again at its old place, and nothing is counted against it. The worker
/// hears of it by its next heartbeat.
pub async fn give_back(cloud: &Cloud, task_id: TaskId, now: Millis) -> Result<Task, RunError> {
    let task = cloud.store.get(&task_id).await?.ok_or(RunError::NoTask)?;
    let run = task.run.as_ref().ok_or(TransitionError::NotThisRun)?;
    let failure = Failure::new(
        FailureClass::Capacity,
        "An operator put the picture back in line; it starts again.",
    );
    Ok(end(cloud, task_id, run.run_id, failure, now).await?.task)
}

async fn end(
    cloud: &Cloud,
    task_id: TaskId,
    run_id: model::RunId,
    failure: Failure,
    now: Millis,
) -> Result<Ended, RunError> {
    let ended = end_run(cloud, task_id, run_id, None, &Outcome::Failed(failure), now).await?;
    ended.tell(cloud).await;
    Ok(ended)
}
