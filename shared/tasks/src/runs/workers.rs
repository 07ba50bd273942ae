use cloud::{Cloud, StoreError, Write, on_conflict, retry::MayConflict};
use model::{Millis, RunEnd, RunId, Task, TransitionError, Worker, WorkerId, WorkerState};
use policy::{meter, run, start};
use tracing::info;

use super::{Ended, RunError, settle, shown};

/// Changes a worker. If the change makes it drop its run, the run is lost in the same transaction. `None`: the worker
/// is no more, or `change` wants nothing.
pub async fn change_worker<E>(
    cloud: &Cloud,
    worker_id: &WorkerId,
    now: Millis,
    change: impl FnMut(&mut Worker) -> Result<bool, E>,
) -> Result<Option<Worker>, E>
where
    E: From<StoreError> + From<RunError> + MayConflict,
{
    change_worker_and(cloud, worker_id, now, change, |_, _| Ok(None)).await
}

/// The same with another write, made of the worker before and after, in the same transaction.
pub async fn change_worker_and<E>(
    cloud: &Cloud,
    worker_id: &WorkerId,
    now: Millis,
    mut change: impl FnMut(&mut Worker) -> Result<bool, E>,
    also: impl Fn(&Worker, &Worker) -> Result<Option<Write>, StoreError>,
) -> Result<Option<Worker>, E>
where
    E: From<StoreError> + From<RunError> + MayConflict,
{
    let changed = on_conflict!({
        let Some(mut worker) = cloud.store.get(worker_id).await? else {
            return Ok(None);
        };
        let (held, before, was) = (worker.run, worker.state, worker.clone());
        if !change(&mut worker)? {
            return Ok(None);
        }
        let started = start::outcome(before, &worker);
        let mut writes = Vec::from_iter(outcome(cloud, before, &mut worker, now).await?);
        writes.extend(also(&was, &worker)?);
        writes.push(Write::put(&mut worker)?);
        let mut ended = None;
        if let Some(lost) = run::dropped(held, &worker)
            && let Some(mut task) = cloud.store.get(&lost.task_id).await?
            && let Ok(end) = lose(&worker, &mut task, lost.run_id, now)
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
        ended.tell_in_vain(cloud).await;
    }
    Ok(Some(worker))
}

/// Ends a run that a worker has dropped: what an operator has taken from it counts as nobody's failure.
fn lose(worker: &Worker, task: &mut Task, run_id: RunId, now: Millis) -> Result<RunEnd, TransitionError> {
    if worker.dismissed.is_some() {
        run::taken_back(task, None, run_id, now)
    } else {
        run::machine_lost(task, run_id, now)
    }
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
