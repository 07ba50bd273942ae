use std::sync::Arc;

use accounts::Caller;
use axum::extract::State;
use cloud::http::{ErrorBody, HttpError, Json, PathId};
use model::{
    TaskResult, WorkerId,
    worker_api::{FreshUrls, RunUrls},
};
use tasks::bodies;

use crate::{
    App,
    assign::{upload_url, urls},
    calling,
    end::fit,
};

/// Fresh presigned URLs of a run that the worker holds: the ones before die with the session that signed them. With a size or
/// those of thumbnails, the ones for these alone.
#[utoipa::path(
    post, path = "/v1/workers/{id}/urls", tag = "workers", params(("id" = String, Path)),
    request_body = FreshUrls,
    responses((status = 200, body = RunUrls), (status = 409, body = ErrorBody))
)]
pub(crate) async fn fresh(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<WorkerId>,
    Json(wanted): Json<FreshUrls>,
) -> Result<Json<RunUrls>, HttpError> {
    let worker = calling(&app, &caller, &id).await?;
    let held = worker
        .run
        .is_some_and(|run| run.run_id == wanted.run_id && run.task_id == wanted.task_id);
    if !held {
        return Err(HttpError::new(409, "This run is not yours (any more)."));
    }
    if wanted.size.is_some_and(|size| size > app.settings.max_result) {
        return Err(HttpError::new(
            400,
            "The pictures are too large. Use a smaller canvas, or ask for fewer.",
        ));
    }
    if !fit(&wanted.thumbnails) {
        return Err(HttpError::new(
            400,
            "These are more thumbnails, or larger ones, than a run may have.",
        ));
    }
    if wanted.size.is_some() || !wanted.thumbnails.is_empty() {
        // The GPU waits: whoever has a result needs no inputs any more.
        let (task_id, run_id) = (wanted.task_id, wanted.run_id);
        let mut urls = RunUrls::default();
        if let Some(size) = wanted.size {
            urls.upload = upload_url(&app, &TaskResult::key_of(task_id, run_id), size).await?;
        }
        for (place, size) in wanted.thumbnails.into_iter().enumerate() {
            let key = TaskResult::thumbnail_key(task_id, run_id, place);
            urls.thumbnails.push(upload_url(&app, &key, size).await?);
        }
        return Ok(Json(urls));
    }
    let body = bodies::read(&app.cloud.store, wanted.task_id).await?;
    Ok(Json(urls(&app, &body).await?))
}
