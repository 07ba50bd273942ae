//! One picture of a task alone: a task's pictures lie in one file, of which most programs show the first.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use cloud::http::{HttpError, Query};
use model::TaskId;
use web::{Problem, Visitor};

use crate::App;

/// One of the visitor's own pictures.
#[utoipa::path(
    get, path = "/v1/account/picture", tag = "pages",
    params(
        ("task" = TaskId, Query, description = "The task"),
        ("number" = u32, Query, description = "Which of its pictures, from 1 on"),
    ),
    responses(
        (status = 200, body = String, content_type = "image/png", description = "Or `image/webp`"),
        (status = 303, description = "To the sign-in: this browser is not signed in"),
        (status = 404, body = String, content_type = "text/html; charset=utf-8", description = "There is none, or it is too large to come alone"),
    )
)]
pub(crate) async fn picture(State(app): State<Arc<App>>, visitor: Visitor, query: Query) -> Result<Response, Problem> {
    let none = || HttpError::new(404, "There is no such picture, or it is kept no more.");
    let task = query.first("task").and_then(|it| it.parse::<TaskId>().ok());
    let number = query.first("number").and_then(|it| it.parse::<usize>().ok());
    let place = number.and_then(|it| it.checked_sub(1)).ok_or_else(none)?;
    let task = app.cloud.store.get(&task.ok_or_else(none)?).await?;
    let task = task.filter(|it| it.owner == visitor.account.user_id).ok_or_else(none)?;
    let result = task.result.as_ref().ok_or_else(none)?;
    let range = result.alone().nth(place).ok_or_else(none)?;
    let alone = || {
        HttpError::new(
            404,
            "This picture cannot come alone. Download the file with all of them.",
        )
    };
    let bytes = app.cloud.bucket.part(&result.place(), range.ok_or_else(alone)?).await?;
    let bytes = bytes.ok_or_else(none)?;
    // It is what a worker has sent.
    let (kind, end) = match &*bytes {
        [0x89, b'P', b'N', b'G', ..] => ("image/png", "png"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => ("image/webp", "webp"),
        _ => return Err(alone().into()),
    };
    let name = format!("inline; filename=\"{}-{}.{end}\"", task.task_id, place + 1);
    Ok(([(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, name)], bytes).into_response())
}
