use std::sync::Arc;

use accounts::Caller;
use axum::extract::State;
use cloud::http::{ErrorBody, HttpError, Json, PathId};
use model::{
    WorkerId,
    worker_api::{FreshUrls, RunUrls},
};
use tasks::bodies;

use crate::{
    App,
    assign::{upload_url, urls},
    calling,
};

/// Fresh presigned URLs of a run that the worker holds: the ones before die with the session that signed them. With a size,
/// that of the result alone.
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
    if let Some(size) = wanted.size {
        // The GPU waits: whoever has a result needs no inputs any more.
        let upload = upload_url(&app, wanted.task_id, wanted.run_id, size).await?;
        return Ok(Json(RunUrls {
            upload,
            ..RunUrls::default()
        }));
    }
    let body = bodies::read(&app.cloud.store, wanted.task_id).await?;
    Ok(Json(urls(&app, &body).await?))
}
