//! Which path leads where, and the checks that all routes share.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::{control, files, info, jobs, prompt, queue, socket};
use crate::options::Version;
use crate::state::shared::Shared;

/// All routes, each also below `/api` as in ComfyUI.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let version = shared.options.version;
    let own = Router::new()
        .route(
            "/double/faults",
            get(control::faults)
                .post(control::set_faults)
                .delete(control::clear_faults),
        )
        .route("/double/stats", get(control::stats))
        .route("/double/drop-sockets", post(control::drop_sockets))
        .route("/double/refuse", post(control::refuse))
        .route("/double/models", post(control::models))
        .route("/double/exit", post(control::exit));
    Router::new()
        .merge(comfyui(version))
        .nest("/api", comfyui(version))
        .merge(own)
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), refuse_foreign))
        // The limit is kept by the routes, whose reply has ComfyUI's text.
        .layer(DefaultBodyLimit::disable())
        .with_state(shared)
}

fn comfyui(version: Version) -> Router<Arc<Shared>> {
    let mut routes = Router::new()
        .route("/ws", get(socket::connect))
        .route("/prompt", get(prompt::remaining).post(prompt::post))
        .route("/queue", get(queue::show).post(queue::change))
        .route("/interrupt", post(queue::interrupt))
        .route("/free", post(queue::free))
        .route("/history", get(queue::history).post(queue::change_history))
        .route("/history/{id}", get(queue::history_of))
        .route("/view", get(files::view))
        .route("/upload/image", post(files::upload))
        .route("/object_info", get(info::object_info))
        .route("/object_info/{class}", get(info::object_info_of))
        .route("/system_stats", get(info::system_stats))
        .route("/features", get(info::features))
        .route("/models", get(info::model_folders))
        .route("/models/{folder}", get(info::models))
        .route("/embeddings", get(info::embeddings));
    if version == Version::V0_33 {
        routes = routes
            .route("/jobs", get(jobs::list))
            .route("/jobs/{id}", get(jobs::show))
            .route("/jobs/{id}/cancel", post(jobs::cancel));
    }
    routes
}

/// ComfyUI's catch-all serves files for GET, so that other methods are "not allowed" everywhere.
async fn unknown(method: Method) -> Response {
    if matches!(method, Method::GET | Method::HEAD) {
        (
            StatusCode::NOT_FOUND,
            [(header::CONTENT_TYPE, "application/octet-stream")],
        )
            .into_response()
    } else {
        not_allowed(method).await
    }
}

async fn not_allowed(method: Method) -> Response {
    if matches!(method, Method::GET | Method::HEAD) {
        return StatusCode::NOT_FOUND.into_response();
    }
    (StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed").into_response()
}

async fn refuse_foreign(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if is_foreign(request.headers(), request.uri(), shared.options.version) {
        return StatusCode::FORBIDDEN.into_response();
    }
    next.run(request).await
}

/// A web page of another origin must not reach a local server.
fn is_foreign(headers: &HeaderMap, uri: &Uri, version: Version) -> bool {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let cross_site = headers.get("sec-fetch-site").is_some_and(|value| value == "cross-site");
    if cross_site && version == Version::V0_33 {
        return true;
    }
    let Some(origin) = text(header::ORIGIN).and_then(|origin| origin.parse::<Uri>().ok()) else {
        return false;
    };
    let host = text(header::HOST).or_else(|| uri.authority().map(Authority::as_str));
    origin.authority().map(Authority::as_str) != host
}
