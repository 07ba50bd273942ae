//! Transitions that concern a task and its worker together, shared by several functions: one code path each.

use model::{
    CancelCause, Canceled, Failure, FailureClass, Millis, Outcome, Run, RunEnd, RunId, RunRef, Settings, Task, TaskId,
    TaskState, TransitionError, Usage, UserId, Worker, WorkerId, WorkerState, socket::ServerMessage,
};
use policy::breaker;
use tracing::{info, warn};

use crate::{
    Cloud, Store, StoreError,
    http::chain,
    notify::{tell_owner, tell_worker},
    queue::Queued,
    retry::{MayConflict, on_conflict},
    store::Write,
    tables::{PaceOf, UsageOf},
};

/// A transition did not happen.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no such task.
    #[error("there is no such task")]
    NoTask,
    /// What was to be done is not wanted any more, as a consistent look shows.
    #[error("things have changed")]
    Changed,
    /// The state machine says no.
    #[error(transparent)]
    Refused(#[from] TransitionError),
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MayConflict for RunError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(StoreError::Conflict))
    }
}

/// The month of a moment, `yyyy-mm`, UTC.
fn month(now: Millis) -> String {
    let seconds = i64::try_from(now.seconds()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| "1970-01".to_owned(), |at| at.strftime("%Y-%m").to_string())
}

/// Claims this task for this worker: one transaction of task `queued → running` and worker `ready → busy`.
/// None if the task is not waiting (any more).
pub async fn claim(
    cloud: &Cloud,
    settings: &Settings,
    worker: &Worker,
    task_id: TaskId,
    now: Millis,
) -> Result<Option<(Task, Worker)>, StoreError> {
    let pace = PaceOf(worker.pool.clone());
    let (task, pace) = tokio::try_join!(cloud.store.get(&task_id), cloud.store.get(&pace))?;
    let Some(mut task) = task else {
        return Ok(None);
    };
    if task.state != TaskState::Queued || task.pool != worker.pool || task.expires_at <= now {
        return Ok(None);
    }
    let estimates = pace.map(|pace| pace.estimates).unwrap_or_default();
    let run_id = RunId::new(uuid::Uuid::now_v7());
    let run = Run {
        run_id,
        worker_id: worker.worker_id.clone(),
        claimed_at: now,
        lease_until: now + settings.lease,
        deadline: now + policy::estimate::limit(&estimates, task.model.as_deref(), task.work, settings),
        seq: 0,
        progress: 0.0,
    };
    let mut worker = worker.clone();
    if task.start(run).is_err() || worker.start(RunRef { task_id, run_id }, now).is_err() {
        return Ok(None);
    }
    worker.team = Some(task.team.clone());
    worker.last_seen = now;
    cloud
        .store
        .commit([Write::put(&mut task)?, Write::put(&mut worker)?])
        .await?;
    info!(task.id = %task_id, run.id = %run_id, worker.id = %worker.worker_id, "claimed");
    Ok(Some((task, worker)))
}

/// Ends a run: task, worker and, if the task is over, the owner's usage in one transaction; then tells the owner,
/// and the queue if the task waits again. `by`: the worker who says so, if one does; it may end only its own.
pub async fn end_run(
    cloud: &Cloud,
    task_id: TaskId,
    run_id: RunId,
    by: Option<&WorkerId>,
    outcome: &Outcome,
    now: Millis,
) -> Result<(RunEnd, Task), RunError> {
    let theirs = |task: &Task| by.is_none_or(|by| task.run.as_ref().is_some_and(|run| run.worker_id == *by));
    match end_run_if(cloud, task_id, run_id, outcome, now, theirs).await {
        Err(RunError::Changed) => Err(TransitionError::NotThisRun.into()),
        ended => ended,
    }
}

async fn end_run_if(
    cloud: &Cloud,
    task_id: TaskId,
    run_id: RunId,
    outcome: &Outcome,
    now: Millis,
    wanted: impl Fn(&Task) -> bool,
) -> Result<(RunEnd, Task), RunError> {
    let (end, task) = on_conflict(async || {
        let mut task = cloud.store.get(&task_id).await?.ok_or(RunError::NoTask)?;
        if !wanted(&task) {
            return Err(RunError::Changed);
        }
        let worker_id = task.run_mut(run_id)?.worker_id.clone();
        let end = task.end_run(run_id, outcome.clone(), now)?;
        let worker = cloud.store.get(&worker_id).await?;
        let mut writes = task_writes(cloud, &mut task, worker.as_ref()).await?;
        if let Some(mut worker) = worker.filter(|it| it.run.is_some_and(|run| run.run_id == run_id)) {
            worker.release(run_id, now);
            writes.push(Write::put(&mut worker)?);
        }
        cloud.store.commit_all(&writes).await?;
        Ok::<_, RunError>((end, task))
    })
    .await?;
    after_end(cloud, end, &task).await;
    Ok((end, task))
}

/// Says what a run's end means: to the queue if the task waits again, and to the owner.
async fn after_end(cloud: &Cloud, end: RunEnd, task: &Task) {
    info!(task.id = %task.task_id, task.state = ?task.state, task.failures = task.failures, "run ended");
    let mut note = None;
    if end == RunEnd::Requeued {
        note = Some("The render was interrupted; the picture starts again.");
        let message = Queued {
            task_id: Some(task.task_id),
            pool: task.pool.clone(),
        };
        if let Err(error) = cloud.queue.send(&message).await {
            // The minute tick makes a lost message good.
            warn!(task.id = %task.task_id, error = chain(&error), "a requeued task was not queued");
        }
    }
    tell_owner(cloud, task, note).await;
}

/// The writes of a task that has taken an edge: itself and, if it is over, its owner's usage, so that what it reserved is
/// settled with it and only then. `by`: the worker of its last run, whose type has a price.
async fn task_writes(cloud: &Cloud, task: &mut Task, by: Option<&Worker>) -> Result<Vec<Write>, StoreError> {
    if !task.state.is_terminal() {
        return Ok(vec![Write::put(task)?]);
    }
    let usage = usage(&cloud.store, &task.owner, task.created);
    let (mut usage, pool) = tokio::try_join!(usage, cloud.store.get(&task.pool))?;
    if task.state == TaskState::Succeeded {
        let instance_type = by.and_then(|worker| worker.instance_type.as_deref());
        task.cost = policy::price::cost(pool.as_ref(), task, instance_type);
    }
    usage.settle(task);
    Ok(vec![Write::put(task)?, Write::put(&mut usage)?])
}

/// What this user used in the month of that moment.
pub async fn usage(store: &Store, user: &UserId, at: Millis) -> Result<Usage, StoreError> {
    let id = UsageOf(user.clone(), month(at));
    let usage = store.get(&id).await?;
    Ok(usage.unwrap_or_else(|| Usage::new(id.0, id.1)))
}

/// Ends a run whose worker was lost, if it still looks lost: the task waits again at its old place, or is over.
pub async fn lose_run(
    cloud: &Cloud,
    task_id: TaskId,
    run_id: RunId,
    why: &str,
    now: Millis,
    still: impl Fn(&Task) -> bool,
) -> Result<Option<RunEnd>, RunError> {
    let failure = Failure::new(FailureClass::Infrastructure, why);
    match end_run_if(cloud, task_id, run_id, &Outcome::Failed(failure), now, still).await {
        Ok((end, _)) => Ok(Some(end)),
        // Somebody else ended it first, the worker spoke after all, or the task is no more.
        Err(RunError::Refused(_) | RunError::NoTask | RunError::Changed) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Cancels or expires a task, if that is still wanted, and tells whom it concerns.
pub async fn cancel(
    cloud: &Cloud,
    task_id: TaskId,
    cause: CancelCause,
    now: Millis,
    wanted: impl Fn(&Task) -> bool,
) -> Result<(Canceled, Task), RunError> {
    let (done, task) = on_conflict(async || {
        let mut task = cloud.store.get(&task_id).await?.ok_or(RunError::NoTask)?;
        let done = if wanted(&task) {
            task.cancel(cause, now)
        } else {
            Canceled::Already
        };
        if done != Canceled::Already {
            cloud
                .store
                .commit_all(&task_writes(cloud, &mut task, None).await?)
                .await?;
        }
        Ok::<_, RunError>((done, task))
    })
    .await?;
    info!(task.id = %task_id, task.state = ?task.state, ?cause, "canceled");
    if done == Canceled::Asked
        && let Some(run) = &task.run
    {
        tell_run(cloud, &run.worker_id, run.run_id).await?;
    }
    if done != Canceled::Already {
        tell_owner(cloud, &task, None).await;
    }
    Ok((done, task))
}

async fn tell_run(cloud: &Cloud, worker_id: &WorkerId, run_id: RunId) -> Result<(), StoreError> {
    if let Some(worker) = cloud.store.get(worker_id).await? {
        tell_worker(cloud, &worker, &ServerMessage::Cancel { run_id }).await;
    }
    Ok(())
}

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
    let changed = on_conflict(async || {
        let Some(mut worker) = cloud.store.get(worker_id).await? else {
            return Ok(None);
        };
        let (held, before) = (worker.run, worker.state);
        if !change(&mut worker)? {
            return Ok(None);
        }
        let mut writes = Vec::from_iter(outcome(cloud, before, &mut worker, now).await?);
        writes.push(Write::put(&mut worker)?);
        let mut ended = None;
        if let Some(run) = held.filter(|_| worker.run.is_none())
            && let Some(mut task) = cloud.store.get(&run.task_id).await?
        {
            let lost = Failure::new(FailureClass::Infrastructure, "The machine that rendered it was lost.");
            if let Ok(end) = task.end_run(run.run_id, Outcome::Failed(lost), now) {
                writes.extend(task_writes(cloud, &mut task, None).await?);
                ended = Some((end, task));
            }
        }
        cloud.store.commit_all(&writes).await?;
        Ok::<_, E>(Some((worker, ended)))
    })
    .await?;
    let Some((worker, ended)) = changed else {
        return Ok(None);
    };
    if let Some((end, task)) = ended {
        after_end(cloud, end, &task).await;
    }
    Ok(Some(worker))
}

/// The write that tells the pool's breaker what became of a start, if this change of the worker shows it: to be committed
/// with the worker, so that each start counts once.
pub async fn outcome(
    cloud: &Cloud,
    before: WorkerState,
    worker: &mut Worker,
    now: Millis,
) -> Result<Option<Write>, StoreError> {
    let Some(ok) = breaker::outcome(before, worker) else {
        return Ok(None);
    };
    worker.outcome_due = false;
    let Some(mut pool) = cloud.store.get(&worker.pool).await? else {
        return Ok(None);
    };
    breaker::record(&mut pool.breaker, ok, now);
    pool.starting.retain(|it| it.worker_id != worker.worker_id);
    info!(pool = %pool.pool, worker.id = %worker.worker_id, ok, open = pool.breaker.opened_at.is_some(), "a start's outcome");
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
        if !wanted(worker) || worker.become_state(to, now).is_err() {
            return Ok(false);
        }
        if matches!(to, WorkerState::Failed | WorkerState::Stopped | WorkerState::Gone) {
            worker.run = None;
        }
        Ok(true)
    })
    .await?;
    if moved.is_some() {
        info!(worker.id = %worker_id, worker.state = ?to, "worker moved");
    }
    Ok(moved)
}
