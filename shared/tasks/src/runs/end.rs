use cloud::{Cloud, StoreError, Write, chain, on_conflict, queue::Queued};
use model::{
    Millis, Outcome, RunEnd, RunId, Settings, Task, TaskId, TransitionError, Worker, WorkerId, socket::ServerMessage,
};
use policy::run;
use tracing::{error, info, warn};

use super::{RunError, settle, shown};
use crate::notify::{tell_owner, tell_pictures, tell_worker};

/// A run that has ended. Whom it concerns is still to be told.
#[derive(Debug)]
#[must_use = "the queue and the task's owner are to be told"]
pub struct Ended {
    /// What became of the task.
    pub end: RunEnd,
    /// The task.
    pub task: Task,
    /// The worker that held it, without it; none if it is no more or holds another.
    pub worker: Option<Worker>,
}

impl Ended {
    /// Says what it means: to the queue if the task waits again, and to the owner. All of it is a hint.
    pub async fn tell(&self, cloud: &Cloud, settings: &Settings) {
        if self.task.result.is_some() {
            return tell_pictures(cloud, settings, &self.task).await;
        }
        self.tell_in_vain(cloud).await;
    }

    /// The same of a run that brought no picture.
    pub(super) async fn tell_in_vain(&self, cloud: &Cloud) {
        let Self { end, task, .. } = self;
        let mut note = None;
        if *end == RunEnd::Requeued {
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
}

/// Ends a run: task, worker and, if the task is over, the owner's usage in one transaction. `by`: the worker who says so,
/// if one does; it may end only its own. Its item may come with it, as it was read a moment ago.
pub async fn end_run(
    cloud: &Cloud,
    task_id: TaskId,
    run_id: RunId,
    by: Option<&Worker>,
    outcome: &Outcome,
    now: Millis,
) -> Result<Ended, RunError> {
    let worker_id = by.map(|worker| &worker.worker_id);
    let theirs = |task: &Task| worker_id.is_none_or(|by| task.run.as_ref().is_some_and(|run| run.worker_id == *by));
    let end = |task: &mut Task, worker: Option<&mut Worker>| run::end(task, worker, run_id, outcome.clone(), now);
    match end_run_if(cloud, task_id, run_id, by, theirs, end, |_, _| Ok(None)).await {
        Err(RunError::Changed) => Err(TransitionError::NotThisRun.into()),
        ended => ended,
    }
}

/// Ends a run whose worker fell silent, if it still looks lost: the task waits again at its old place, or is over.
pub async fn lose_run(
    cloud: &Cloud,
    task_id: TaskId,
    run_id: RunId,
    now: Millis,
    still: impl Fn(&Task) -> bool,
) -> Result<Option<RunEnd>, RunError> {
    let end = |task: &mut Task, worker: Option<&mut Worker>| run::fell_silent(task, worker, run_id, now);
    match end_run_if(cloud, task_id, run_id, None, still, end, |_, _| Ok(None)).await {
        Ok(ended) => {
            ended.tell_in_vain(cloud).await;
            Ok(Some(ended.end))
        }
        // Somebody else ended it first, the worker spoke after all, or the task is no more.
        Err(RunError::Refused(_) | RunError::NoTask | RunError::Changed) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes a run back at an operator's word, if it is still as it looked, with another write made of the task before and after:
/// the task waits again at its old place. Its worker is told, and hears it with its next heartbeat.
pub async fn take_back(
    cloud: &Cloud,
    task_id: TaskId,
    run_id: RunId,
    now: Millis,
    still: impl Fn(&Task) -> bool,
    also: impl Fn(&Task, &Task) -> Result<Option<Write>, StoreError>,
) -> Result<Ended, RunError> {
    let end = |task: &mut Task, worker: Option<&mut Worker>| run::taken_back(task, worker, run_id, now);
    let ended = end_run_if(cloud, task_id, run_id, None, still, end, also).await?;
    ended.tell_in_vain(cloud).await;
    if let Some(worker) = &ended.worker {
        tell_worker(cloud, worker, &ServerMessage::Cancel { run_id }).await;
    }
    Ok(ended)
}

pub(super) async fn end_run_if(
    cloud: &Cloud,
    task_id: TaskId,
    run_id: RunId,
    by: Option<&Worker>,
    wanted: impl Fn(&Task) -> bool,
    end: impl Fn(&mut Task, Option<&mut Worker>) -> Result<RunEnd, TransitionError>,
    also: impl Fn(&Task, &Task) -> Result<Option<Write>, StoreError>,
) -> Result<Ended, RunError> {
    let mut known = by.cloned();
    let ended = on_conflict!({
        let mut task = cloud.store.get(&task_id).await?.ok_or(RunError::NoTask)?;
        if !wanted(&task) {
            return Err(RunError::Changed);
        }
        let before = task.clone();
        let worker_id: WorkerId = task.run_mut(run_id)?.worker_id.clone();
        // What is known is good for one try, since a conflict may be about it, and only if it shows this run: else it would
        // not be written, and nothing would tell that it was old.
        let holds = |it: &Worker| it.worker_id == worker_id && it.run.is_some_and(|run| run.run_id == run_id);
        let mut worker = match known.take().filter(holds) {
            Some(worker) => Some(worker),
            None => cloud.store.get(&worker_id).await?,
        };
        let held = worker.as_ref().is_some_and(holds);
        let end = end(&mut task, worker.as_mut())?;
        let mut writes = settle::writes(cloud, &mut task, worker.as_ref()).await?;
        let mut worker = worker.filter(|_| held);
        if let Some(worker) = &mut worker {
            writes.push(Write::put(worker)?);
        }
        writes.extend(also(&before, &task)?);
        cloud.store.commit_all(&writes).await?;
        Ok::<_, RunError>(Ended { end, task, worker })
    })?;
    let task = &ended.task;
    shown::ended(task);
    info!(task.id = %task_id, run.id = %run_id, task.state = ?task.state, task.failures = task.failures, "run ended");
    if let Some(worker) = ended.worker.as_ref().filter(|it| run::is_sick(it)) {
        error!(worker.id = %worker.worker_id, pool = %worker.pool, "different tasks failed on a machine in a row; it is replaced");
    }
    Ok(ended)
}
