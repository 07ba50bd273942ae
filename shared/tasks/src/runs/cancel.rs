use cloud::{Cloud, StoreError, Write, chain, on_conflict};
use model::{CancelCause, Canceled, Millis, RunId, Task, TaskId, WorkerId, socket::ServerMessage};
use tracing::{info, warn};

use super::{RunError, settle, shown};
use crate::notify::{tell_owner, tell_worker};

/// Cancels or expires a task, if that is still wanted, and tells whom it concerns.
pub async fn cancel(
    cloud: &Cloud,
    task_id: TaskId,
    cause: CancelCause,
    now: Millis,
    wanted: impl Fn(&Task) -> bool,
) -> Result<(Canceled, Task), RunError> {
    cancel_and(cloud, task_id, cause, now, wanted, |_, _| Ok(None)).await
}

/// The same with another write, made of the task before and after, in the same transaction.
pub async fn cancel_and(
    cloud: &Cloud,
    task_id: TaskId,
    cause: CancelCause,
    now: Millis,
    wanted: impl Fn(&Task) -> bool,
    also: impl Fn(&Task, &Task) -> Result<Option<Write>, StoreError>,
) -> Result<(Canceled, Task), RunError> {
    let (done, task) = on_conflict!({
        let mut task = cloud.store.get(&task_id).await?.ok_or(RunError::NoTask)?;
        let before = task.clone();
        let done = if wanted(&task) {
            task.cancel(cause, now)
        } else {
            Canceled::Already
        };
        if done != Canceled::Already {
            let mut writes = settle::writes(cloud, &mut task, None).await?;
            writes.extend(also(&before, &task)?);
            cloud.store.commit_all(&writes).await?;
        }
        Ok::<_, RunError>((done, task))
    })?;
    info!(task.id = %task_id, task.state = ?task.state, ?cause, "canceled");
    if done == Canceled::Ended {
        shown::ended(&task);
    }
    let run = task.run.as_ref().filter(|_| done == Canceled::Asked);
    let run_told = async {
        if let Some(run) = run {
            tell_run(cloud, &run.worker_id, run.run_id).await;
        }
    };
    let owner_told = async {
        if done != Canceled::Already {
            tell_owner(cloud, &task, None).await;
        }
    };
    tokio::join!(run_told, owner_told);
    Ok((done, task))
}

/// A hint like any other: the worker's next heartbeat says the same, and the cancel is committed already.
async fn tell_run(cloud: &Cloud, worker_id: &WorkerId, run_id: RunId) {
    match cloud.store.get(worker_id).await {
        Ok(Some(worker)) => {
            tell_worker(cloud, &worker, &ServerMessage::Cancel { run_id }).await;
        }
        Ok(None) => {}
        Err(error) => {
            warn!(run.id = %run_id, worker.id = %worker_id, error = chain(&error), "a worker was not told of a cancel");
        }
    }
}
