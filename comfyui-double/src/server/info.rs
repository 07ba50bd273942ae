//! What the server says about itself, its nodes and its models.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::reply::ok;
use crate::disk::models::FOLDERS;
use crate::options::Version;
use crate::prompt::object_info;
use crate::state::shared::Shared;

const RAM_TOTAL: u64 = 32 << 30;
const RAM_FREE: u64 = 24 << 30;

pub(crate) async fn object_info(State(shared): State<Arc<Shared>>) -> Response {
    let inner = shared.lock();
    ok(&object_info::describe_all(shared.options.optional_nodes, &|folder| {
        inner.list_files(folder)
    }))
}

pub(crate) async fn object_info_of(State(shared): State<Arc<Shared>>, Path(class): Path<String>) -> Response {
    if object_info::is_optional(&class) && !shared.options.optional_nodes {
        return ok(&json!({}));
    }
    let inner = shared.lock();
    ok(&object_info::describe(&class, &|folder| inner.list_files(folder)))
}

pub(crate) async fn system_stats(State(shared): State<Arc<Shared>>) -> Response {
    let device = json!({
        "name": "cpu",
        "type": "cpu",
        "index": null,
        "vram_total": RAM_TOTAL,
        "vram_free": RAM_FREE,
        "torch_vram_total": RAM_TOTAL,
        "torch_vram_free": RAM_FREE,
    });
    ok(&json!({
        "system": {
            "os": "posix",
            "ram_total": RAM_TOTAL,
            "ram_free": RAM_FREE,
            "comfyui_version": shared.options.version.number(),
            "python_version": "none: a stand-in for tests",
            "pytorch_version": "none: no model is used",
            "embedded_python": false,
            "argv": ["main.py", "--cpu"],
        },
        "devices": [device],
    }))
}

pub(crate) async fn features(State(shared): State<Arc<Shared>>) -> Response {
    ok(&feature_flags(&shared))
}

/// What the server can do, on `/features` and as the answer to a client's flags.
pub(crate) fn feature_flags(shared: &Shared) -> Value {
    let mut flags = json!({
        "supports_preview_metadata": true,
        "max_upload_size": shared.options.max_upload,
    });
    if shared.options.version == Version::V0_33 {
        flags["supports_model_type_tags"] = json!(true);
        flags["extension"] = json!({ "manager": { "supports_v4": true } });
        flags["node_replacements"] = json!(true);
        flags["assets"] = json!(false);
    }
    flags
}

pub(crate) async fn model_folders() -> Response {
    ok(&json!(FOLDERS))
}

pub(crate) async fn models(State(shared): State<Arc<Shared>>, Path(folder): Path<String>) -> Response {
    if !FOLDERS.contains(&folder.as_str()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let mut names = shared.lock().models.list(&folder);
    // Only the loader node knows this one; there is no such file.
    names.retain(|name| name != "pixel_space");
    ok(&json!(names))
}

pub(crate) async fn embeddings(State(shared): State<Arc<Shared>>) -> Response {
    ok(&json!(shared.lock().models.list("embeddings")))
}
