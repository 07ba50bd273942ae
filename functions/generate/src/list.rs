//! The caller's own tasks.

use std::sync::Arc;

use accounts::Caller;
use axum::extract::State;
use cloud::{
    StoreError,
    http::{ErrorBody, HttpError, Json, Query},
    page::Cursor,
};
use model::{Millis, TaskState, socket::TaskView};
use serde::Serialize;
use tasks::{list, view};
use utoipa::ToSchema;

use crate::App;

/// Tasks of a page for which nobody said how many.
const USUAL: u32 = 20;

/// A page of the caller's tasks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskPage {
    /// Newest first. There may be fewer than asked for, or none, although the list goes on.
    tasks: Vec<ListedTask>,
    /// Where the list goes on; left out at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    next: Option<Cursor>,
}

/// A task of a list: as it is shown alone, but without words, place in line and time left.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ListedTask {
    #[serde(flatten)]
    task: TaskView,
    /// When it was submitted, milliseconds since 1970.
    #[schema(value_type = u64)]
    created: Millis,
    /// When it ended, milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    ended_at: Option<Millis>,
}

/// The caller's own tasks, newest first, a page at a time.
#[utoipa::path(
    get, path = "/v1/tasks", tag = "painters",
    params(
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 50, description = "Most tasks of the page; 20 if left out"),
        ("state" = Option<TaskState>, Query, description = "Only tasks of this state"),
    ),
    responses((status = 200, body = TaskPage), (status = 400, body = ErrorBody))
)]
pub(crate) async fn tasks(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: Query,
) -> Result<Json<TaskPage>, HttpError> {
    let limit = query.first("limit").map_or(Some(USUAL), |text| text.parse().ok());
    let limit = limit.filter(|it| (1..=list::MOST).contains(it)).ok_or_else(|| {
        let most = list::MOST;
        HttpError::new(400, format!("`limit` must be a number from 1 to {most}."))
    })?;
    let state = query.first("state").map(|word| {
        let named = TaskState::ALL.into_iter().find(|it| it.word() == word);
        named.ok_or_else(|| {
            let words = TaskState::ALL.map(TaskState::word).join(", ");
            HttpError::new(400, format!("`state` must be one of {words}."))
        })
    });
    let cursor = query.first("cursor").map(Cursor::from);
    let (state, user) = (state.transpose()?, caller.user());
    let page = list::page(&app.cloud.store, &user, state, cursor.as_ref(), limit).await;
    let page = page.map_err(|error| match error {
        StoreError::Cursor { .. } => {
            HttpError::new(400, "`cursor` is no place in this list. Leave it out to begin anew.").because(error)
        }
        error => error.into(),
    })?;
    let mut tasks = Vec::with_capacity(page.entries.len());
    for task in page.entries {
        tasks.push(ListedTask {
            task: view::with_thumbnails(&app.cloud.bucket, &app.settings, &task).await?,
            created: task.created,
            ended_at: task.ended_at,
        });
    }
    Ok(Json(TaskPage { tasks, next: page.next }))
}
