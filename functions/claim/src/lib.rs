//! The workers' API: register, claim, heartbeat, result, failure.

mod assign;
mod end;
mod heartbeat;
pub mod identity;
mod offers;
mod register;
mod urls;

use std::sync::Arc;

use accounts::Caller;
use axum::extract::State;
use cloud::{
    Cloud,
    http::{HttpError, Json, Now, PathId},
    token::Signer,
};
use model::{Settings, Worker, WorkerId, worker_api};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::identity::CallerIdentity;
pub use crate::offers::Needs;

/// What the handlers need.
#[derive(Debug)]
pub struct App {
    /// AWS.
    pub cloud: Cloud,
    /// Durations and limits.
    pub settings: Settings,
    /// Issues the workers' tokens.
    pub signer: Signer,
    /// Finds out who signed a proof of identity.
    pub identity: CallerIdentity,
    /// The WebSocket API's address.
    pub socket_url: String,
    /// Which files waiting tasks need.
    pub needs: Needs,
}

/// Longest name taken of what a worker says it has, bytes: no file system has longer ones.
const MAX_NAME: usize = 255;

/// Every route, and what the document says of it.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(register::register))
        .routes(routes!(claim))
        .routes(routes!(heartbeat::heartbeat))
        .routes(routes!(end::result))
        .routes(routes!(end::failure))
        .routes(routes!(urls::fresh))
}

/// The calling worker, which must be the one in the path, of the generation that its token was issued for, and up.
async fn calling(app: &App, caller: &Caller, id: &WorkerId) -> Result<Worker, HttpError> {
    if *id != caller.worker() {
        return Err(HttpError::new(403, "This token is another worker's."));
    }
    let worker = app.cloud.store.get(id).await?;
    let worker = worker.filter(|worker| Some(worker.generation) == caller.generation && worker.state.is_up());
    worker.ok_or_else(earlier)
}

/// What a process is told whose instance has begun another one.
fn earlier() -> HttpError {
    HttpError::new(401, "Register again: this token is an earlier process's.")
}

/// The best waiting task that the worker can claim, or the run that it holds already.
#[utoipa::path(
    post, path = "/v1/workers/{id}/claim", tag = "workers", params(("id" = String, Path)),
    request_body = worker_api::Claim,
    responses((status = 200, body = worker_api::Claimed))
)]
async fn claim(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    PathId(id): PathId<WorkerId>,
    Json(claim): Json<worker_api::Claim>,
) -> Result<Json<worker_api::Claimed>, HttpError> {
    let worker = calling(&app, &caller, &id).await?;
    let assignment = assign::next(&app, worker, claim.task_id, now).await?;
    Ok(Json(worker_api::Claimed { assignment }))
}
