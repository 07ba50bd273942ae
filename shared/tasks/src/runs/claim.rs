use cloud::{Cloud, StoreError, Write, tables::PaceOf};
use model::{Millis, Run, RunId, RunRef, Settings, Task, TaskId, TaskState, Worker};
use policy::claim::is_alone;
use tracing::info;

use crate::line::Line;

/// A task that a worker has claimed.
#[derive(Debug)]
pub struct Claimed {
    /// The task, running.
    pub task: Task,
    /// The run that holds it.
    pub run: Run,
    /// The worker, busy.
    pub worker: Worker,
}

/// Claims this task for this worker: one transaction of task `queued → running` and worker `ready → busy`.
/// None if the task is not waiting (any more).
pub async fn claim(
    cloud: &Cloud,
    settings: &Settings,
    worker: &Worker,
    task_id: TaskId,
    now: Millis,
) -> Result<Option<Claimed>, StoreError> {
    let pace = PaceOf(worker.pool.clone());
    let (task, pace) = tokio::try_join!(cloud.store.get_readable(&task_id), cloud.store.get(&pace))?;
    let Some(mut task) = task else {
        return Ok(None);
    };
    if task.state != TaskState::Queued || task.pool != worker.pool || task.expires_at <= now {
        return Ok(None);
    }
    if task.failed_on.as_ref() == Some(&worker.worker_id) && !must_take(cloud, settings, worker, now).await? {
        return Ok(None);
    }
    let estimates = pace.map(|pace| pace.estimates).unwrap_or_default();
    let run_id = RunId::new(uuid::Uuid::now_v7());
    let run = Run {
        run_id,
        worker_id: worker.worker_id.clone(),
        claimed_at: now,
        generation: Some(worker.generation),
        lease_until: now + settings.lease,
        deadline: now
            + policy::estimate::limit(&estimates, task.model.as_deref(), task.work, settings)
            + policy::load::fetch_limit(task.model.as_deref()),
        seq: 0,
        progress: 0.0,
    };
    let mut worker = worker.clone();
    if task.start(run.clone()).is_err() || worker.start(RunRef { task_id, run_id }, now).is_err() {
        return Ok(None);
    }
    worker.team = Some(task.team.clone());
    worker.heard(now);
    cloud
        .store
        .commit([Write::put(&mut task)?, Write::put(&mut worker)?])
        .await?;
    info!(task.id = %task_id, run.id = %run_id, worker.id = %worker.worker_id, "claimed");
    Ok(Some(Claimed { task, run, worker }))
}

/// Whether the worker is to take even what failed on it last.
async fn must_take(cloud: &Cloud, settings: &Settings, worker: &Worker, now: Millis) -> Result<bool, StoreError> {
    let line = Line::read(cloud, &worker.pool).await?;
    let snapshot = line.snapshot(settings, now);
    Ok(snapshot.is_none_or(|snapshot| is_alone(&worker.worker_id, &snapshot)))
}
