//! How a task stands, canceling it, and what may be asked for.

use std::sync::Arc;

use accounts::Caller;
use axum::extract::State;
use cloud::{
    Write, chain,
    http::{ErrorBody, HttpError, Json, Now, PathId},
};
use history::index::Scope;
use model::{CancelCause, Millis, Parameters, Task, TaskId, socket::TaskView};
use policy::{hold, presence::Sign};
use serde::Serialize;
use serde_json::Value;
use tasks::{bodies, held, past, presence, runs, view};
use tracing::info;
use utoipa::ToSchema;

use crate::{
    App,
    list::leads,
    reply::{Spent, Status, StatusWord},
};

/// Where a task stands, in the plugin's words. Held back for a moment while its end is near.
#[utoipa::path(
    post, path = "/v1/status/{id}", tag = "painters", params(("id" = TaskId, Path)),
    responses((status = 200, body = Status))
)]
pub(crate) async fn status(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    PathId(id): PathId<TaskId>,
) -> Result<Json<Status>, HttpError> {
    let task = own(&app, &caller, id, now).await?;
    let (time, before) = (hold::status(&task, &app.settings, now), task.state);
    let changed = |it: &Task| it.state != before;
    let task = held::until(&app.cloud.store, &app.settings, task, time, now, changed).await;
    let view = view::shown(&app.cloud.bucket, &app.settings, &task).await?;
    let user = if task.state.is_terminal() {
        left(&app, &caller, now).await
    } else {
        None
    };
    let status = view.into();
    Ok(Json(Status { status, user }))
}

/// What is left to the caller; none if that cannot be read, since a status must not fail for it.
async fn left(app: &App, caller: &Caller, now: Millis) -> Option<Spent> {
    let store = &app.cloud.store;
    let user = caller.user();
    let usage = accounts::usage(store, &user, now);
    let (account, usage) = tokio::join!(accounts::of(store, caller), usage);
    Some(Spent::of(&usage.ok()?, &account.ok()?))
}

/// A task as a whole.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WholeTask {
    #[serde(flatten)]
    task: TaskView,
    #[serde(flatten)]
    history: History,
    /// What it was asked with, once it is over; absent where that is not known any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Parameters>,
}

/// What is said of a task beside where it stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct History {
    /// Kind of picture, as the request named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// When it was submitted, milliseconds since 1970.
    #[schema(value_type = u64)]
    created: Millis,
    /// When it ended, milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    ended_at: Option<Millis>,
}

impl From<&Task> for History {
    fn from(task: &Task) -> Self {
        Self {
            kind: task.kind.clone(),
            created: task.created,
            ended_at: task.ended_at,
        }
    }
}

/// Where a task stands, as a whole snapshot with words, place in line, time left, and its pictures; once it is over with what it
/// was asked with.
#[utoipa::path(
    get, path = "/v1/tasks/{id}", tag = "painters", params(("id" = TaskId, Path)),
    responses((status = 200, body = WholeTask))
)]
pub(crate) async fn task(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    PathId(id): PathId<TaskId>,
) -> Result<Json<WholeTask>, HttpError> {
    let task = match own(&app, &caller, id, now).await {
        Err(error) if error.status == 404 => return archived(&app, &caller, id, now).await.map(Json),
        found => found?,
    };
    let view = async { Ok::<_, HttpError>(view::whole(&app.cloud, &app.settings, &task, now).await?) };
    let parameters = async {
        // Whoever waits asks often, and knows what for.
        if task.state.is_terminal() {
            Ok(bodies::parameters(&app.cloud.store, id).await?)
        } else {
            Ok(None)
        }
    };
    let (view, parameters) = tokio::try_join!(view, parameters)?;
    Ok(Json(WholeTask {
        task: view,
        history: History::from(&task),
        parameters,
    }))
}

/// A task that the table has no more, or for a lead one of the team, as the archive or the table has it.
async fn archived(app: &App, caller: &Caller, id: TaskId, now: Millis) -> Result<WholeTask, HttpError> {
    let mut scopes = vec![Scope::Owner(caller.user())];
    if leads(caller) {
        let found = app.cloud.store.get_readable(&id).await?;
        if let Some(task) = found.filter(|task| task.team == caller.team) {
            let parameters = bodies::parameters(&app.cloud.store, id).await?;
            return Ok(WholeTask {
                task: view::with_thumbnails(&app.cloud.bucket, &app.settings, &task).await?,
                history: History::from(&task),
                parameters,
            });
        }
        scopes.push(Scope::Team(caller.team.clone()));
    }
    for scope in scopes {
        let found = past::find(&app.cloud.bucket, &scope, id).await?;
        if let Some(entry) = found {
            let record = history::find_record(&app.cloud.bucket, &entry.task).await;
            let record =
                record.inspect_err(|error| info!(task.id = %id, error = chain(error), "its record is not there"));
            return Ok(WholeTask {
                task: view::past(&app.cloud.bucket, &app.settings, &entry.task, now).await?,
                history: History::from(&entry.task),
                parameters: record.ok().flatten().and_then(|record| record.parameters),
            });
        }
    }
    Err(HttpError::new(404, "There is no such task."))
}

/// What a cancel came to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CancelReply {
    status: StatusWord,
}

/// Cancels a task. What is over stays as it is.
#[utoipa::path(
    post, path = "/v1/cancel/{worker}/{id}", tag = "painters",
    params(("worker" = String, Path, description = "Ignored"), ("id" = TaskId, Path)),
    responses((status = 200, body = CancelReply), (status = 409, body = ErrorBody))
)]
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    PathId(id): PathId<TaskId>,
) -> Result<Json<CancelReply>, HttpError> {
    let task = own(&app, &caller, id, now).await?;
    let (_, task) = runs::cancel(&app.cloud, task.task_id, CancelCause::User, now, |_| true).await?;
    let status = StatusWord::of(task.state, task.cancel);
    Ok(Json(CancelReply { status }))
}

/// What the team may paint with; the plugin offers exactly that.
#[utoipa::path(get, path = "/v1/plugin/resources", tag = "painters", responses((status = 200, body = Object)))]
pub(crate) async fn resources(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
) -> Result<Json<Value>, HttpError> {
    let store = &app.cloud.store;
    let user = caller.user();
    let usage = accounts::usage(store, &user, now);
    let (account, usage) = tokio::join!(accounts::of(store, &caller), usage);
    let (account, usage) = (account?, usage?);
    let models = app.models.fresh(store, &account, now);
    let noted = presence::note_if_solvent(&app.cloud, &account, &usage, Sign::Call, &app.settings, now);
    let (models, ()) = tokio::join!(models, noted);
    serde_json::to_value(models?.inventory.offered())
        .map(Json)
        .map_err(HttpError::broken)
}

/// The task of this name, if it is the caller's: another painter's task does not exist. Notes that its owner asked.
async fn own(app: &App, caller: &Caller, id: TaskId, now: Millis) -> Result<Task, HttpError> {
    let task = app.cloud.store.get(&id).await?;
    let task = task.filter(|task| task.owner == caller.user());
    let task = task.ok_or_else(|| HttpError::new(404, "There is no such task."))?;
    let Some(mut seen) = task.seen(&app.settings, now) else {
        return Ok(task);
    };
    let write = [Write::put(&mut seen)?];
    let noted = presence::note(&app.cloud, &task.pool, &task.owner, Sign::Call, &app.settings, now);
    match tokio::join!(app.cloud.store.commit(write), noted).0 {
        Ok(()) => Ok(seen),
        // A failed status would lose the picture for the painter; the next poll notes it as well.
        Err(error) => {
            info!(task.id = %id, error = chain(&error), "the poll was not noted");
            Ok(task)
        }
    }
}
