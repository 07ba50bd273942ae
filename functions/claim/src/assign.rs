//! Giving a worker its next run.

use cloud::{
    StoreError,
    bodies::{self, Body},
    http::{HttpError, chain},
    runs::{claim, end_run},
    tables::Backlog,
};
use model::{
    Failure, FailureClass, Millis, Outcome, RunId, TaskId, Worker, WorkerState,
    worker_api::{Assignment, RunUrls},
};
use tracing::{info, warn};

use crate::{App, learn};

/// Most waiting tasks looked at.
const PAGE: u32 = 50;
/// Most claims tried in one call: each loser's place is taken by a later call.
const TRIES: usize = 8;

/// Where a run's pictures lie: the run is in the name, so that a lost worker's late upload overwrites nothing.
pub(crate) fn result_key(task_id: TaskId, run_id: RunId) -> String {
    format!("results/{task_id}/{run_id}")
}

/// The run that the worker holds already (its answer was lost), or else the best waiting task that it can claim.
/// The task that a wake named is tried first, by its key, since the index may not show it yet.
pub(crate) async fn next(
    app: &App,
    worker: Worker,
    hint: Option<TaskId>,
    now: Millis,
) -> Result<Option<Assignment>, HttpError> {
    if let Some(run) = worker.run {
        let task = app.cloud.store.get(&run.task_id).await?;
        let limit = task
            .and_then(|task| task.run)
            .filter(|it| it.run_id == run.run_id)
            .map(|run| run.deadline.since(now));
        return match limit {
            Some(limit) => hand_over(app, &worker, run.task_id, run.run_id, limit, now).await,
            None => Ok(None),
        };
    }
    if worker.state != WorkerState::Ready {
        return Ok(None);
    }
    if let Some(hint) = hint
        && let Some(assignment) = try_claim(app, &worker, hint, now).await?
    {
        return Ok(Some(assignment));
    }
    let backlog = app.cloud.store.list(Backlog(&worker.pool, PAGE)).await?;
    let order = policy::claim::choose(&backlog, &worker, &app.settings, now);
    if !order.is_empty() {
        let plan = serde_json::to_string(&order).unwrap_or_default();
        info!(worker.id = %worker.worker_id, plan, "claiming");
    }
    for task_id in order.into_iter().take(TRIES) {
        if let Some(assignment) = try_claim(app, &worker, task_id, now).await? {
            return Ok(Some(assignment));
        }
    }
    Ok(None)
}

async fn try_claim(app: &App, worker: &Worker, task_id: TaskId, now: Millis) -> Result<Option<Assignment>, HttpError> {
    // A conflict may be about the worker's item (a heartbeat) as well as about the task: look again.
    for _ in 0..4 {
        let generation = worker.generation;
        let Some(worker) = app.cloud.store.get(&worker.worker_id).await? else {
            return Ok(None);
        };
        // A new process may have registered in between.
        if worker.state != WorkerState::Ready || worker.generation != generation {
            return Ok(None);
        }
        match claim(&app.cloud, &app.settings, &worker, task_id, now).await {
            Ok(None) => return Ok(None),
            Ok(Some((task, worker))) => {
                let Some(run) = &task.run else { return Ok(None) };
                cloud::notify::tell_owner(&app.cloud, &task, None).await;
                let limit = run.deadline.since(now);
                let (assignment, ()) = tokio::join!(
                    hand_over(app, &worker, task_id, run.run_id, limit, now),
                    learn::claimed(app, &task, now)
                );
                return assignment;
            }
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

async fn hand_over(
    app: &App,
    worker: &Worker,
    task_id: TaskId,
    run_id: RunId,
    limit: std::time::Duration,
    now: Millis,
) -> Result<Option<Assignment>, HttpError> {
    match bodies::read(&app.cloud.store, &app.cloud.bucket, task_id).await {
        Ok(body) => Ok(Some(Assignment {
            task_id,
            run_id,
            team: worker
                .team
                .clone()
                .unwrap_or_else(|| model::TeamId::new(worker.pool.as_str())),
            urls: urls(app, task_id, run_id, &body).await?,
            plan: body.plan,
            inputs: body.inputs,
            loras: body.loras,
            limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        })),
        Err(bodies::BodyError::Plan(_)) => {
            // Nobody could ever render it.
            let lost = Failure::new(FailureClass::User, "The request was lost; please send it again.");
            end_run(&app.cloud, task_id, run_id, None, &Outcome::Failed(lost), now).await?;
            Ok(None)
        }
        Err(error) => {
            warn!(task.id = %task_id, error = chain(&error), "claimed, but the plan could not be read yet");
            Err(error.into())
        }
    }
}

/// Presigned URLs for this run.
pub(crate) async fn urls(app: &App, task_id: TaskId, run_id: RunId, body: &Body) -> Result<RunUrls, HttpError> {
    let life = app.settings.url_life;
    let mut loras = Vec::with_capacity(body.loras.len());
    for lora in &body.loras {
        loras.push(app.cloud.models.presign_get(&lora.key, life).await?);
    }
    let input = match body.inputs.as_ref().and_then(|inputs| inputs.key.as_ref()) {
        Some(key) => Some(app.cloud.bucket.presign_get(key, life).await?),
        None => None,
    };
    Ok(RunUrls {
        input,
        loras,
        upload: app.cloud.bucket.presign_put(&result_key(task_id, run_id), life).await?,
    })
}
