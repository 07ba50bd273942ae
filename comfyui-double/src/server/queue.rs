//! The queue, interrupts and the history.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::reply::{broken, ok, read, read_object, strings};
use crate::state::shared::Shared;

pub(crate) async fn show(State(shared): State<Arc<Shared>>) -> Response {
    let inner = shared.lock();
    let running: Vec<_> = inner.running.iter().map(|running| running.item.listed()).collect();
    let pending: Vec<_> = inner.pending.iter().map(|item| item.listed()).collect();
    ok(&json!({ "queue_running": running, "queue_pending": pending }))
}

pub(crate) async fn change(State(shared): State<Arc<Shared>>, body: Body) -> Response {
    let body = match read_object(&shared, body).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let mut inner = shared.lock();
    if body["clear"] == json!(true) {
        inner.delete_pending(|_| true);
    }
    for wanted in strings(&body["delete"]) {
        inner.delete_pending(|id| id == wanted);
    }
    StatusCode::OK.into_response()
}

/// Interrupts the prompt that is named, if it is the running one, else whatever runs.
pub(crate) async fn interrupt(State(shared): State<Arc<Shared>>, body: Body) -> Response {
    let bytes = match read(&shared, body).await {
        Ok(bytes) => bytes,
        Err(refusal) => return refusal,
    };
    let body = match serde_json::from_slice::<Value>(&bytes) {
        Ok(body @ Value::Object(_)) => body,
        Ok(_) => return broken(),
        Err(_) => Value::Null,
    };
    shared.lock().ask_interrupt(body["prompt_id"].as_str());
    shared.wake();
    StatusCode::OK.into_response()
}

pub(crate) async fn free(State(shared): State<Arc<Shared>>, body: Body) -> Response {
    let body = match read_object(&shared, body).await {
        Ok(Value::Array(_)) => return broken(),
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    {
        let mut inner = shared.lock();
        inner.stats.frees += 1;
        if body["free_memory"] == json!(true) {
            inner.free_asked = true;
        }
    }
    shared.wake();
    StatusCode::OK.into_response()
}

#[derive(Deserialize)]
pub(crate) struct Newest {
    max_items: Option<usize>,
}

pub(crate) async fn history(State(shared): State<Arc<Shared>>, Query(newest): Query<Newest>) -> Response {
    ok(&shared.lock().history.list(newest.max_items))
}

pub(crate) async fn history_of(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    ok(&shared.lock().history.one(&id))
}

pub(crate) async fn change_history(State(shared): State<Arc<Shared>>, body: Body) -> Response {
    let body = match read_object(&shared, body).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let mut inner = shared.lock();
    let wanted = strings(&body["delete"]);
    let all = body["clear"] == json!(true);
    let deleted = inner.history.delete(|id| all || wanted.contains(&id));
    inner.stats.history_deleted += deleted;
    StatusCode::OK.into_response()
}
