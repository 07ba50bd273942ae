//! A run is over: with pictures, with a failure, or as it was asked to.

use std::sync::Arc;

use accounts::Caller;
use axum::extract::State;
use cloud::{
    chain,
    http::{HttpError, Json, Now, PathId},
    metrics,
};
use model::{
    Blame, Failure, FailureClass, MAX_THUMBNAIL, Millis, Outcome, Pose, RunEnd, RunId, StepPictures, TaskId,
    TaskResult, TaskState, Worker, WorkerId,
    worker_api::{Assignment, Read, RunEnded, RunFailure, RunResult},
};
use policy::measure;
use tasks::{
    learn, recording,
    runs::{Ended, RunError, end_run},
};

use tracing::{error, warn};

use crate::{App, assign, calling};

/// Most pictures of a run: as many as a request may ask for.
const MAX_PICTURES: usize = 16;

/// Whether a run may have thumbnails of these sizes, in bytes.
pub(crate) fn fit(thumbnails: &[u64]) -> bool {
    thumbnails.len() <= MAX_PICTURES && thumbnails.iter().all(|size| (1..=MAX_THUMBNAIL).contains(size))
}

/// The pictures of a run are in the bucket. The answer says whether they count, and what is to be done next.
#[utoipa::path(
    post, path = "/v1/workers/{id}/result", tag = "workers", params(("id" = String, Path)),
    request_body = RunResult,
    responses((status = 200, body = RunEnded))
)]
pub(crate) async fn result(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    PathId(id): PathId<WorkerId>,
    Json(result): Json<RunResult>,
) -> Result<Json<RunEnded>, HttpError> {
    let worker = calling(&app, &caller, &id).await?;
    let rising = result.offsets.windows(2).all(|pair| pair[0] < pair[1]);
    let inside = result.offsets.last().is_some_and(|last| *last < result.size);
    if result.offsets.first() != Some(&0) || !rising || !inside {
        return Err(HttpError::new(400, "The offsets do not fit the blob."));
    }
    if result.offsets.len() > MAX_PICTURES || result.size > app.settings.max_result {
        return Err(HttpError::new(
            400,
            "These are more pictures, or larger ones, than a run may have.",
        ));
    }
    let none_or_all = [0, result.offsets.len()].contains(&result.thumbnails.len());
    if !none_or_all || !fit(&result.thumbnails) {
        return Err(HttpError::new(400, "The thumbnails do not fit the pictures."));
    }
    if !result.pose.as_ref().is_none_or(Pose::is_sound) {
        return Err(HttpError::new(400, "The pose is not of the form it should have."));
    }
    let pictures = TaskResult {
        key: TaskResult::key_of(result.task_id, result.run_id),
        offsets: result.offsets,
        size: result.size,
        lora_warning: result.lora_warning,
        pose: result.pose,
        thumbnails: !result.thumbnails.is_empty(),
        kept: None,
    };
    let outcome = Outcome::Succeeded(pictures, result.times);
    let ended = Box::pin(end(
        &app,
        worker,
        (result.task_id, result.run_id),
        &outcome,
        &result.reads,
        now,
    ))
    .await?;
    if let Some(pictures) = result.pictures.filter(|_| ended.accepted) {
        record(&app, result.task_id, &pictures, now).await;
    }
    Ok(Json(ended))
}

/// A run did not work, or was interrupted as asked.
#[utoipa::path(
    post, path = "/v1/workers/{id}/failure", tag = "workers", params(("id" = String, Path)),
    request_body = RunFailure,
    responses((status = 200, body = RunEnded))
)]
pub(crate) async fn failure(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    PathId(id): PathId<WorkerId>,
    Json(failure): Json<RunFailure>,
) -> Result<Json<RunEnded>, HttpError> {
    let worker = calling(&app, &caller, &id).await?;
    if failure.class == Some(FailureClass::User) && failure.blame == Blame::Machine {
        let what = Failure::new(FailureClass::User, failure.message.as_str()).message;
        error!(worker.id = %id, task.id = %failure.task_id, what, "a picture failed for what lies on the machine");
    }
    let outcome = match failure.class {
        Some(class) => Outcome::Failed(Failure::new(class, failure.message).blaming(failure.blame)),
        None => Outcome::Interrupted,
    };
    Box::pin(end(&app, worker, (failure.task_id, failure.run_id), &outcome, &[], now))
        .await
        .map(Json)
}

/// Ends a run and hands out the next; whom it concerns is told, and what it shows is learned, meanwhile. Saying the same
/// thing twice gets the same answer.
async fn end(
    app: &App,
    worker: Worker,
    (task_id, run_id): (TaskId, RunId),
    outcome: &Outcome,
    reads: &[Read],
    now: Millis,
) -> Result<RunEnded, HttpError> {
    let by = Some(&worker);
    let (accepted, ended) = match end_run(&app.cloud, task_id, run_id, by, outcome, now).await {
        Ok(ended) => {
            let kept = ended.end == RunEnd::Committed || !matches!(outcome, Outcome::Succeeded(..));
            if ended.end == RunEnd::Committed {
                let mut found: Vec<_> = measure::first_picture(&worker, now).into_iter().collect();
                if !assign::is_old(&worker) {
                    found.extend(measure::loads(&ended.task, reads));
                }
                metrics::note(found, &[("worker.id", &worker.worker_id)]);
            }
            (kept, Some(ended))
        }
        // The run was lost, or this is a repetition of what already counts.
        Err(RunError::Refused(_) | RunError::NoTask) => (counts(app, task_id, outcome).await?, None),
        Err(error) => return Err(error.into()),
    };
    let ((), assignment) = tokio::join!(
        aside(app, ended.as_ref(), reads, now),
        next(app, worker, ended.as_ref(), outcome, now)
    );
    Ok(RunEnded {
        accepted,
        assignment: assignment?,
    })
}

async fn next(
    app: &App,
    worker: Worker,
    ended: Option<&Ended>,
    outcome: &Outcome,
    now: Millis,
) -> Result<Option<Assignment>, HttpError> {
    // A worker that gives its run back is about to stop.
    let leaving = matches!(
        outcome,
        Outcome::Failed(Failure {
            class: FailureClass::Capacity,
            ..
        })
    );
    if leaving {
        return Ok(None);
    }
    let worker = match ended.and_then(|ended| ended.worker.clone()) {
        Some(free) => free,
        None => app.cloud.store.get(&worker.worker_id).await?.unwrap_or(worker),
    };
    assign::next(app, worker, None, now).await
}

/// The step of a task whose result counts, told now or before.
async fn record(app: &App, task_id: TaskId, pictures: &StepPictures, now: Millis) {
    match app.cloud.store.get(&task_id).await {
        Ok(Some(task)) => recording::finished(&app.cloud.store, &task, pictures, now).await,
        Ok(None) => {}
        Err(error) => warn!(task.id = %task_id, error = chain(&error), "a step's pictures were not recorded"),
    }
}

/// What is only a hint, or only learned.
async fn aside(app: &App, ended: Option<&Ended>, reads: &[Read], now: Millis) {
    let Some(ended) = ended else { return };
    let learned = async {
        if ended.end == RunEnd::Committed {
            learn::finished(&app.cloud.store, &ended.task, reads, now).await;
        }
    };
    tokio::join!(ended.tell(&app.cloud, &app.settings), learned);
}

async fn counts(app: &App, task_id: TaskId, outcome: &Outcome) -> Result<bool, HttpError> {
    let Outcome::Succeeded(result, _) = outcome else {
        return Ok(false);
    };
    let task = app.cloud.store.get(&task_id).await?;
    Ok(task.is_some_and(|task| {
        task.state == TaskState::Succeeded && task.result.is_some_and(|counted| counted.key == result.key)
    }))
}
