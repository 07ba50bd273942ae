//! Giving a worker its next run.

use std::time::Duration;

use cloud::{
    StoreError, chain,
    http::HttpError,
    tables::{Backlog, PaceOf, WorkersOf},
};
use model::{
    BacklogEntry, Estimates, Failure, FailureClass, Millis, Outcome, PoolId, Task, TaskId, TeamId, Worker, WorkerState,
    worker_api::{Assignment, ModelFile, RunUrls},
};
use policy::load;
use serde_json::Value;
use tasks::{
    bodies::{self, Body, BodyError, PlanPlace},
    learn,
    notify::tell_owner,
    runs::{Claimed, claim, end_run},
};
use tracing::{info, warn};

use crate::App;

/// Most waiting tasks looked at.
const PAGE: u32 = 50;
/// Most claims that others are faster with in one call. A task that cannot be claimed costs a read only and does not count, so
/// that those of an unknown release at the head of the line do not hide the others.
const MAX_LOST: usize = 8;
/// Most looks at one task: a conflict may be about the worker's item (a heartbeat) as well as about the task.
const LOOKS: usize = 4;

/// From this version of the protocol on, workers fetch files of any kind from the studio's store.
const STORE: u32 = 3;

/// Whether the worker knows files of the store only where they are LoRAs.
pub(crate) fn is_old(worker: &Worker) -> bool {
    worker.protocol.is_none_or(|it| it < STORE)
}

/// Whether a worker that is old can do the task: one whose plan cannot be read ends with whoever claims it.
async fn can_do(app: &App, task_id: TaskId) -> Result<bool, HttpError> {
    match bodies::read(&app.cloud.store, task_id).await {
        Ok(body) => Ok(body.models.is_empty()),
        Err(BodyError::Plan(_)) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// The run that the worker holds already (its answer was lost), or else the best waiting task that it can claim.
/// The task that a wake named is tried first, by its key, since the index may not show it yet. `worker`: its item as it was
/// read a moment ago; it is read again only after a conflict.
pub(crate) async fn next(
    app: &App,
    worker: Worker,
    hint: Option<TaskId>,
    now: Millis,
) -> Result<Option<Assignment>, HttpError> {
    if let Some(run) = worker.run {
        let task = app.cloud.store.get(&run.task_id).await?;
        let held = |task: &Task| task.run.as_ref().is_some_and(|it| it.run_id == run.run_id);
        return match task.filter(held) {
            Some(task) => {
                let body = bodies::read(&app.cloud.store, run.task_id).await;
                hand_over(app, &worker, &task, body, now).await
            }
            None => Ok(None),
        };
    }
    let mut free = Some(worker).filter(|it| it.state == WorkerState::Ready);
    let mut lost = 0;
    if let Some(hint) = hint
        && let Some(assignment) = try_claim(app, &mut free, &mut lost, hint, now).await?
    {
        return Ok(Some(assignment));
    }
    let Some(worker) = &free else { return Ok(None) };
    let backlog = app.cloud.store.list(Backlog(&worker.pool, PAGE));
    let (backlog, estimates) = tokio::try_join!(backlog, estimates(app, &worker.pool))?;
    if backlog.is_empty() {
        return Ok(None);
    }
    let mut order = policy::claim::choose(&backlog, worker, &estimates, &app.settings, now);
    let others = anothers(app, worker, &backlog, &estimates, now).await?;
    order.retain(|it| !others.contains(it));
    let plan = serde_json::to_string(&order).unwrap_or_default();
    info!(worker.id = %worker.worker_id, plan, "claiming");
    for task_id in order {
        if let Some(assignment) = try_claim(app, &mut free, &mut lost, task_id, now).await? {
            return Ok(Some(assignment));
        }
        if lost >= MAX_LOST {
            break;
        }
    }
    Ok(None)
}

/// What the pool has learned of its machines.
pub(crate) async fn estimates(app: &App, pool: &PoolId) -> Result<Estimates, StoreError> {
    let pace = app.cloud.store.get(&PaceOf(pool.clone())).await?;
    Ok(pace.map(|it| it.estimates).unwrap_or_default())
}

/// The tasks that are left to workers which were woken for them. The others are looked at only if there can be any.
async fn anothers(
    app: &App,
    worker: &Worker,
    backlog: &[BacklogEntry],
    estimates: &Estimates,
    now: Millis,
) -> Result<Vec<TaskId>, StoreError> {
    if !backlog
        .iter()
        .any(|it| policy::claim::may_be_anothers(it, worker, estimates, now))
    {
        return Ok(Vec::new());
    }
    let workers = app.cloud.store.list(WorkersOf(&worker.pool)).await?;
    let theirs = |it: &&BacklogEntry| policy::claim::is_anothers(it, worker, &workers, estimates, &app.settings, now);
    Ok(backlog.iter().filter(theirs).map(|it| it.task_id).collect())
}

/// Claims this task for the worker while it is free; after that, `free` is as the worker was last seen.
/// `lost` counts the claims that others were faster with.
async fn try_claim(
    app: &App,
    free: &mut Option<Worker>,
    lost: &mut usize,
    task_id: TaskId,
    now: Millis,
) -> Result<Option<Assignment>, HttpError> {
    for _ in 0..LOOKS {
        let Some(worker) = free.as_ref() else { return Ok(None) };
        if is_old(worker) && !can_do(app, task_id).await? {
            return Ok(None);
        }
        let body = bodies::read(&app.cloud.store, task_id);
        let (claimed, body) = tokio::join!(claim(&app.cloud, &app.settings, worker, task_id, now), body);
        match claimed {
            Ok(None) => return Ok(None),
            Ok(Some(claimed)) => {
                let bytes = body.as_ref().ok().and_then(|body| size(body, &claimed.task));
                let handed = hand_over(app, &claimed.worker, &claimed.task, body, now);
                let (assignment, ()) = tokio::join!(handed, aside(app, &claimed, bytes, now));
                return assignment;
            }
            Err(StoreError::Conflict) => {
                *lost += 1;
                let found = app.cloud.store.get(&worker.worker_id).await?;
                // A new process may have registered in between.
                let same = |it: &Worker| it.state == WorkerState::Ready && it.generation == worker.generation;
                *free = found.filter(same);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Bytes of the task's main model, if that is in the studio's store.
fn size(body: &Body, task: &Task) -> Option<u64> {
    let file = body.models.iter().find(|it| Some(&it.file) == task.model.as_ref());
    file.map(|it| it.size)
}

/// What is only a hint, or only learned.
async fn aside(app: &App, claimed: &Claimed, bytes: Option<u64>, now: Millis) {
    let learned = learn::claimed(&app.cloud.store, &claimed.task, bytes, now);
    tokio::join!(tell_owner(&app.cloud, &claimed.task, None), learned);
}

async fn hand_over(
    app: &App,
    worker: &Worker,
    task: &Task,
    body: Result<Body, BodyError>,
    now: Millis,
) -> Result<Option<Assignment>, HttpError> {
    let (task_id, Some(run)) = (task.task_id, &task.run) else {
        return Ok(None);
    };
    let fetch_limit = load::fetch_limit(task.model.as_deref());
    let ms = |limit: Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let run_id = run.run_id;
    match body {
        Ok(body) => Ok(Some(Assignment {
            task_id,
            run_id,
            team: worker.team.clone().unwrap_or_else(|| TeamId::new(worker.pool.as_str())),
            urls: urls(app, &body).await?,
            plan: match body.plan {
                PlanPlace::Here(plan) => plan,
                PlanPlace::Bucket(_) => Value::Null,
            },
            inputs: body.inputs,
            loras: body.loras,
            models: body.models,
            recorded: task.document.is_some(),
            variant: task.variant.is_some(),
            limit_ms: ms(run.deadline.since(now).saturating_sub(fetch_limit)),
            fetch_limit_ms: ms(fetch_limit),
        })),
        Err(BodyError::Plan(_)) => {
            // Nobody could ever render it.
            let lost = Failure::new(FailureClass::User, "The request was lost; please send it again.");
            let ended = end_run(&app.cloud, task_id, run_id, Some(worker), &Outcome::Failed(lost), now).await?;
            ended.tell(&app.cloud, &app.settings).await;
            Ok(None)
        }
        Err(error) => {
            warn!(task.id = %task_id, error = chain(&error), "claimed, but the plan could not be read yet");
            Err(error.into())
        }
    }
}

/// Presigned URLs for a run of this body, but for its result, whose size is not known yet.
pub(crate) async fn urls(app: &App, body: &Body) -> Result<RunUrls, HttpError> {
    let life = app.settings.url_life;
    let addresses = async |files: &[ModelFile]| {
        let mut urls = Vec::with_capacity(files.len());
        for file in files {
            urls.push(app.cloud.models.presign_get(&file.key, life).await?);
        }
        Ok::<_, HttpError>(urls)
    };
    let plan = match &body.plan {
        PlanPlace::Here(_) => None,
        PlanPlace::Bucket(key) => Some(app.cloud.bucket.presign_get(key, life).await?),
    };
    let input = match body.inputs.as_ref().and_then(|inputs| inputs.key.as_ref()) {
        Some(key) => Some(app.cloud.bucket.presign_get(key, life).await?),
        None => None,
    };
    Ok(RunUrls {
        plan,
        input,
        loras: addresses(&body.loras).await?,
        models: addresses(&body.models).await?,
        upload: String::new(),
        thumbnails: Vec::new(),
    })
}

/// Where to put something of a run, signed for its size in bytes.
pub(crate) async fn upload_url(app: &App, key: &str, size: u64) -> Result<String, HttpError> {
    let life = app.settings.url_life;
    Ok(app.cloud.bucket.presign_put(key, Some(size), life).await?)
}
