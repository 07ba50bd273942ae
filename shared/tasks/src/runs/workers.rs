use cloud::{Cloud, StoreError, Write, on_conflict, retry::MayConflict};
use model::{Millis, Worker, WorkerId, WorkerState};
use policy::{meter, run, start};
use tracing::info;

use super::{Ended, RunError, settle, shown};

/// Changes a worker. If the change makes it drop its run, the run is lost in the same transaction. `None`: the worker
/// is no more, or `change` wants nothing.
pub async fn change_worker<E>(
    cloud: &Cloud,
    worker_id: &WorkerId,
    now: Millis,
    mut change: impl FnMut(&mut Worker) -> Result<bool, E>,
) -> Result<Option<Worker>, E>
where
    E: From<StoreError> + From<RunError> + MayConflict,
{
    let changed = on_conflict!({
        let Some(mut worker) = cloud.store.get(worker_id).await? else {
            return Ok(None);
        };
        let (held, before) = (worker.run, worker.state);
        if !change(&mut worker)? {
            return Ok(None);
        }
        let started = start::outcome(before, &worker);
        let mut writes = Vec::from_iter(outcome(cloud, before, &mut worker, now).await?);
        writes.push(Write::put(&mut worker)?);
        let mut ended = None;
        if let Some(lost) = run::dropped(held, &worker)
            && let Some(mut task) = cloud.store.get(&lost.task_id).await?
            && let Ok(end) = run::machine_lost(&mut task, lost.run_id, now)
        {
            writes.extend(settle::writes(cloud, &mut task, None).await?);
            ended = Some((end, task));
        }
        cloud.store.commit_all(&writes).await?;
        Ok::<_, E>(Some((worker, started, ended)))
    })?;
    let Some((worker, started, ended)) = changed else {
        return Ok(None);
    };
    if let Some(ok) = started {
        shown::started(ok);
    }
    if let Some((end, task)) = ended {
        shown::ended(&task);
        let ended = Ended {
            end,
            task,
            worker: None,
        };
        ended.tell(cloud).await;
    }
    Ok(Some(worker))
}

/// The write that tells the pool what this change of the worker shows: what became of a start, and that a machine has
/// stopped. To be committed with the worker, so that each counts once.
pub async fn outcome(
    cloud: &Cloud,
    before: WorkerState,
    worker: &mut Worker,
    now: Millis,
) -> Result<Option<Write>, StoreError> {
    let (started, stops) = (start::outcome(before, worker), meter::stops(before, worker));
    if started.is_none() && !stops {
        return Ok(None);
    }
    let mut pool = cloud.store.get(&worker.pool).await?;
    if let Some(ok) = started {
        start::settle(pool.as_mut(), worker, ok, now);
    }
    let Some(mut pool) = pool else {
        return Ok(None);
    };
    if let Some(ok) = started {
        info!(pool = %pool.pool, worker.id = %worker.worker_id, ok, open = pool.breaker.opened_at.is_some(), "a start's outcome");
    }
    if stops {
        meter::stopped(&mut pool, worker, now);
    }
    Write::put(&mut pool).map(Some)
}

/// Moves a worker along an edge if `wanted` still holds on a consistent read.
pub async fn move_worker(
    cloud: &Cloud,
    worker_id: &WorkerId,
    to: WorkerState,
    now: Millis,
    mut wanted: impl FnMut(&Worker) -> bool,
) -> Result<Option<Worker>, RunError> {
    let moved = change_worker::<RunError>(cloud, worker_id, now, |worker| {
        Ok(wanted(worker) && run::moved(worker, to, now).is_ok())
    })
    .await?;
    if moved.is_some() {
        info!(worker.id = %worker_id, worker.state = ?to, "worker moved");
    }
    Ok(moved)
}
