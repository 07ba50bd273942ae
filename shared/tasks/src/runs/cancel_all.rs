use cloud::{Cloud, Write, on_conflict};
use futures_util::future::{join_all, try_join_all};
use model::{CancelCause, Canceled, Millis, Task, TaskId, TaskState};
use tracing::info;

use super::{RunError, cancel, shown};
use crate::notify::tell_owner;

/// Cancels tasks of one owner that were submitted together, at most 96: those that wait in one transaction, so that no
/// machine begins one while the others are canceled; those that run one after the other. What is over stays as it is.
pub async fn cancel_all(cloud: &Cloud, tasks: &[TaskId], now: Millis) -> Result<(), RunError> {
    let canceled = on_conflict!({
        let found = try_join_all(tasks.iter().map(|id| cloud.store.get(id))).await?;
        let mut waiting: Vec<Task> = found.into_iter().flatten().collect();
        waiting.retain(|task| task.state == TaskState::Queued);
        let Some(first) = waiting.first() else {
            return Ok(Vec::new());
        };
        let mut usage = accounts::usage(&cloud.store, &first.owner, first.created).await?;
        let mut writes = Vec::with_capacity(waiting.len() + 1);
        for task in &mut waiting {
            if task.cancel(CancelCause::User, now) == Canceled::Ended {
                usage.settle(task);
                writes.push(Write::put(task)?);
            }
        }
        writes.push(Write::put(&mut usage)?);
        cloud.store.commit_all(&writes).await?;
        Ok::<_, RunError>(waiting)
    })?;
    for task in &canceled {
        shown::ended(task);
    }
    info!(tasks = canceled.len(), "canceled together");
    join_all(canceled.iter().map(|task| tell_owner(cloud, task, None))).await;
    let ended = |id: &&TaskId| !canceled.iter().any(|task| task.task_id == **id);
    for id in tasks.iter().filter(ended) {
        match cancel(cloud, *id, CancelCause::User, now, |_| true).await {
            // It was over long ago.
            Ok(_) | Err(RunError::NoTask) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
