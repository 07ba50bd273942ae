use cloud::{Cloud, StoreError, Write, on_conflict};
use model::{Failure, FailureClass, Millis, Outcome, Task, TaskId};
use policy::run;
use tracing::info;

use super::{RunError, end::end_run_if, settle, shown};
use crate::notify::tell_owner;

/// Ends a task without a picture, for good, whether it waits or runs, with another write made of the task before and after,
/// and tells whom it concerns. It costs nothing. `message`: one plain sentence for its owner.
pub async fn fail(
    cloud: &Cloud,
    task_id: TaskId,
    message: &str,
    now: Millis,
    also: impl Fn(&Task, &Task) -> Result<Option<Write>, StoreError>,
) -> Result<Task, RunError> {
    let failure = Failure::new(FailureClass::User, message);
    let task = cloud.store.get(&task_id).await?.ok_or(RunError::NoTask)?;
    if let Some(held) = &task.run {
        let id = held.run_id;
        let end = |task: &mut Task, worker: Option<&mut model::Worker>| {
            run::end(task, worker, id, Outcome::Failed(failure.clone()), now)
        };
        let ended = end_run_if(cloud, task_id, id, None, |_| true, end, also).await?;
        ended.tell_in_vain(cloud).await;
        return Ok(ended.task);
    }
    let task = on_conflict!({
        let mut task = cloud.store.get(&task_id).await?.ok_or(RunError::NoTask)?;
        let before = task.clone();
        task.fail(failure.clone(), now)?;
        let mut writes = settle::writes(cloud, &mut task, None).await?;
        writes.extend(also(&before, &task)?);
        cloud.store.commit_all(&writes).await?;
        Ok::<_, RunError>(task)
    })?;
    shown::ended(&task);
    info!(task.id = %task_id, task.state = ?task.state, "failed by an operator");
    tell_owner(cloud, &task, None).await;
    Ok(task)
}
