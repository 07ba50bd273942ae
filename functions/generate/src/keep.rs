//! Keeping a task's pictures, and deleting a task.

use std::sync::Arc;

use accounts::Caller;
use axum::extract::State;
use cloud::http::{ErrorBody, HttpError, Json, Now, PathId};
use model::{Keep, Millis, TaskId, socket::TaskView};
use serde::Serialize;
use tasks::{erase, keep, view};
use utoipa::ToSchema;

use crate::App;

/// Keeps a task's pictures until somebody deletes them. Saying it again changes nothing.
#[utoipa::path(
    post, path = "/v1/tasks/{id}/keep", tag = "painters", params(("id" = TaskId, Path)),
    responses(
        (status = 200, body = TaskView),
        (status = 409, body = ErrorBody, description = "It has no pictures"),
        (status = 410, body = ErrorBody, description = "Its pictures are no longer there"),
    )
)]
pub(crate) async fn keep(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    PathId(id): PathId<TaskId>,
) -> Result<Json<TaskView>, HttpError> {
    decide(&app, &caller, id, Keep::Always, now).await
}

/// Keeps a task's pictures no longer: they go when every result goes, which may be at once. No rule keeps them again.
#[utoipa::path(
    delete, path = "/v1/tasks/{id}/keep", tag = "painters", params(("id" = TaskId, Path)),
    responses((status = 200, body = TaskView), (status = 409, body = ErrorBody, description = "It has no pictures"))
)]
pub(crate) async fn keep_no_longer(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    PathId(id): PathId<TaskId>,
) -> Result<Json<TaskView>, HttpError> {
    decide(&app, &caller, id, Keep::Nothing, now).await
}

async fn decide(app: &App, caller: &Caller, id: TaskId, how: Keep, now: Millis) -> Result<Json<TaskView>, HttpError> {
    let task = keep::keep(&app.cloud, id, &caller.user(), how, now).await?;
    Ok(Json(view::past(&app.cloud.bucket, &app.settings, &task, now).await?))
}

/// What is left of a task that was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Deleted {
    /// What deleting does not reach and for how long that is there, in words.
    left: &'static str,
}

/// Deletes a task that is over: its pictures, thumbnails, what was kept of them, and the request.
#[utoipa::path(
    delete, path = "/v1/tasks/{id}", tag = "painters", params(("id" = TaskId, Path)),
    responses((status = 200, body = Deleted), (status = 409, body = ErrorBody, description = "It is not over"))
)]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<TaskId>,
) -> Result<Json<Deleted>, HttpError> {
    erase::erase(&app.cloud, id, &caller.user()).await?;
    Ok(Json(Deleted { left: erase::LEFT }))
}
