//! How the caller's documents came to be: what is recorded, of which document, and what they have to say about it.

use std::sync::Arc;

use accounts::Caller;
use axum::extract::State;
use cloud::{
    http::{ErrorBody, HttpError, Json, Now, PathId, Query},
    page::Cursor,
};
use model::{Applied, Document, DocumentId, Millis, Parameters, Step, StepPictures, TaskId};
use serde::{Deserialize, Serialize};
use tasks::recording;
use utoipa::ToSchema;

use crate::App;

/// Documents of a page for which nobody said how many, and most of them.
const DOCUMENTS: (u32, u32) = (50, 50);
/// The same of steps, which come with pictures.
const STEPS: (u32, u32) = (5, 10);

/// What is recorded of the caller.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Histories {
    /// The caller's team records a class: every document of which the caller has not said no.
    class: bool,
    /// Documents with a history or a switch, in order of their ids.
    documents: Vec<DocumentView>,
    /// Where the list goes on; left out at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    next: Option<Cursor>,
}

/// A document and what is said about it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DocumentView {
    /// Which; `unnamed` for all pictures whose requests name none.
    document: DocumentId,
    /// What its owner calls it.
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    /// What its owner has said; left out where they said nothing, and the class's setting counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    recording: Option<bool>,
    /// Steps recorded.
    steps: u64,
    /// When it was last recorded or switched, milliseconds since 1970.
    #[schema(value_type = u64)]
    last: Millis,
}

impl From<Document> for DocumentView {
    fn from(document: Document) -> Self {
        Self {
            document: document.document,
            name: document.name,
            recording: document.recording,
            steps: document.steps,
            last: document.last,
        }
    }
}

/// What is recorded of the caller, and of which documents.
#[utoipa::path(
    get, path = "/v1/history", tag = "painters",
    params(
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 50, description = "Most documents of the page; 50 if left out"),
    ),
    responses((status = 200, body = Histories), (status = 400, body = ErrorBody))
)]
pub(crate) async fn all(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: Query,
) -> Result<Json<Histories>, HttpError> {
    let store = &app.cloud.store;
    let (after, limit) = place(&query, DOCUMENTS)?;
    let account = accounts::of(store, &caller).await?;
    let class = async { Ok(recording::class(store, &account.team).await?) };
    let page = recording::documents(store, &account.user_id, after.as_ref(), limit);
    let (class, page) = tokio::try_join!(class, page)?;
    Ok(Json(Histories {
        class,
        documents: page.entries.into_iter().map(DocumentView::from).collect(),
        next: page.next,
    }))
}

/// Where a page begins, and how much of it is wanted.
fn place(query: &Query, (usual, most): (u32, u32)) -> Result<(Option<Cursor>, u32), HttpError> {
    let limit = query.first("limit").map_or(Some(usual), |text| text.parse().ok());
    let limit = limit
        .filter(|it| (1..=most).contains(it))
        .ok_or_else(|| HttpError::new(400, format!("`limit` must be a number from 1 to {most}.")))?;
    Ok((query.first("cursor").map(Cursor::from), limit))
}

/// A document's history.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HistoryView {
    #[serde(flatten)]
    document: DocumentView,
    /// Earliest first. There may be fewer than asked for, or none, although the list goes on.
    history: Vec<StepView>,
    /// Where the list goes on; left out at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    next: Option<Cursor>,
}

/// A step.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StepView {
    /// The task that made its pictures.
    task: TaskId,
    /// When it was asked for, milliseconds since 1970.
    #[schema(value_type = u64)]
    asked: Millis,
    /// When its pictures were there; left out where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    ended: Option<Millis>,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Parameters>,
    #[serde(flatten)]
    pictures: StepPictures,
    /// Which pictures were put into the document, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    applied: Vec<Applied>,
}

impl From<Step> for StepView {
    fn from(step: Step) -> Self {
        Self {
            task: step.task_id,
            asked: step.asked,
            ended: step.ended,
            parameters: step.parameters,
            pictures: step.pictures,
            applied: step.applied,
        }
    }
}

/// The history of a document of the caller's, a page of steps at a time.
#[utoipa::path(
    get, path = "/v1/history/{document}", tag = "painters",
    params(
        ("document" = String, Path, description = "Its id; `unnamed` for all pictures whose requests name none"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 10, description = "Most steps of the page; 5 if left out"),
    ),
    responses((status = 200, body = HistoryView), (status = 400, body = ErrorBody))
)]
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(document): PathId<DocumentId>,
    query: Query,
) -> Result<Json<HistoryView>, HttpError> {
    let store = &app.cloud.store;
    let (after, limit) = place(&query, STEPS)?;
    let account = accounts::of(store, &caller).await?;
    let found = recording::steps(store, &account, &account.user_id, &document, after.as_ref(), limit).await?;
    Ok(Json(HistoryView {
        document: found.document.into(),
        history: found.steps.entries.into_iter().map(StepView::from).collect(),
        next: found.steps.next,
    }))
}

/// Whether a document is recorded.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Switch {
    /// From now on, or no more.
    recording: bool,
    /// What to call the document, at most 100 characters; what it was called stays if it is left out.
    name: Option<String>,
}

/// Switches the recording of a document on or off. What was recorded stays until it is deleted.
#[utoipa::path(
    put, path = "/v1/history/{document}", tag = "painters", request_body = Switch,
    params(("document" = String, Path, description = "Its id; `unnamed` for all pictures whose requests name none")),
    responses((status = 200, body = DocumentView), (status = 409, body = ErrorBody, description = "Too many documents"))
)]
pub(crate) async fn switch(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    PathId(document): PathId<DocumentId>,
    Json(Switch { recording, name }): Json<Switch>,
) -> Result<Json<DocumentView>, HttpError> {
    let store = &app.cloud.store;
    let account = accounts::of(store, &caller).await?;
    let switched = recording::switch(store, &account, &document, recording, name.as_deref(), now).await?;
    Ok(Json(switched.into()))
}

/// What is left.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HistoryDeleted {
    /// That it is gone, and where copies may be for a while.
    left: &'static str,
}

const GONE: HistoryDeleted = HistoryDeleted {
    left: "The history is deleted. For up to 35 days it could be brought back from the table's point-in-time recovery, by your \
           studio's operator alone. The tasks themselves are not part of it.",
};

/// Deletes the history of a document, which is recorded no more. Doing it again goes on where it was cut off.
#[utoipa::path(
    delete, path = "/v1/history/{document}", tag = "painters",
    params(("document" = String, Path, description = "Its id; `unnamed` for all pictures whose requests name none")),
    responses((status = 200, body = HistoryDeleted))
)]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    PathId(document): PathId<DocumentId>,
) -> Result<Json<HistoryDeleted>, HttpError> {
    let account = accounts::of(&app.cloud.store, &caller).await?;
    recording::delete(&app.cloud.store, &account, &document, now).await?;
    Ok(Json(GONE))
}

/// Deletes all histories of the caller, and records nothing that they do not switch on again.
#[utoipa::path(delete, path = "/v1/history", tag = "painters", responses((status = 200, body = HistoryDeleted)))]
pub(crate) async fn delete_all(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
) -> Result<Json<HistoryDeleted>, HttpError> {
    let account = accounts::of(&app.cloud.store, &caller).await?;
    recording::delete_all(&app.cloud.store, &account, now).await?;
    Ok(Json(GONE))
}

/// What was put into the document.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Picture {
    /// Which of the task's pictures, from 0.
    #[serde(default)]
    picture: u32,
}

/// Whether it was recorded.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Recorded {
    /// False where the document is not recorded, or says so already.
    recorded: bool,
}

/// Says that a picture of a task was put into the document: a part of its history, where there is one.
#[utoipa::path(
    post, path = "/v1/tasks/{id}/applied", tag = "painters", request_body = Picture,
    params(("id" = TaskId, Path)),
    responses((status = 200, body = Recorded), (status = 409, body = ErrorBody, description = "There is no such picture"))
)]
pub(crate) async fn applied(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    PathId(id): PathId<TaskId>,
    Json(Picture { picture }): Json<Picture>,
) -> Result<Json<Recorded>, HttpError> {
    let store = &app.cloud.store;
    let task = store.get(&id).await?.filter(|task| task.owner == caller.user());
    let task = task.ok_or_else(|| HttpError::new(404, "There is no such task."))?;
    let pictures = task.result.as_ref().map_or(0, |it| it.offsets.len());
    if picture as usize >= pictures {
        return Err(HttpError::new(
            409,
            format!("This task has {pictures} pictures; they are counted from 0."),
        ));
    }
    let recorded = recording::applied(store, &task, picture, now).await?;
    Ok(Json(Recorded { recorded }))
}
