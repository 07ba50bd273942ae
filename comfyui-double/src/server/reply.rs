//! The replies and readings that routes share.

use axum::body::{Body, to_bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::Value;

use crate::state::shared::Shared;

/// A JSON reply with the content type that ComfyUI sends.
pub(super) fn json(status: StatusCode, body: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    (status, kind, body.to_string()).into_response()
}

pub(super) fn ok(body: &Value) -> Response {
    json(StatusCode::OK, body)
}

/// What aiohttp answers after an exception.
pub(super) fn broken() -> Response {
    let text = "500 Internal Server Error\n\nServer got itself in trouble";
    (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
}

pub(super) fn too_large(shared: &Shared) -> Response {
    let text = format!("Maximum request body size {} exceeded.", shared.options.max_upload);
    (StatusCode::PAYLOAD_TOO_LARGE, text).into_response()
}

/// The whole body, or the refusal of one that is too large.
pub(super) async fn read(shared: &Shared, body: Body) -> Result<Bytes, Response> {
    to_bytes(body, shared.options.max_upload)
        .await
        .map_err(|_| too_large(shared))
}

/// A JSON object body; anything else is a 500, as in ComfyUI.
pub(super) async fn read_object(shared: &Shared, body: Body) -> Result<Value, Response> {
    let bytes = read(shared, body).await?;
    match serde_json::from_slice(&bytes) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => Ok(value),
        _ => Err(broken()),
    }
}

/// The strings in a list such as `{"delete": [...]}`.
pub(super) fn strings(list: &Value) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}
