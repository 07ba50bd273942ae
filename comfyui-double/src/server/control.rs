//! The double's own routes, for tests in other processes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::reply::{ok, read};
use crate::faults::Faults;
use crate::state::shared::Shared;

/// The exit code of a process that was killed.
const KILLED: i32 = 137;

pub(crate) async fn faults(State(shared): State<Arc<Shared>>) -> Response {
    ok(&json!(shared.lock().faults))
}

pub(crate) async fn set_faults(State(shared): State<Arc<Shared>>, body: Body) -> Response {
    match parse::<Faults>(&shared, body).await {
        Ok(faults) => {
            shared.lock().set_faults(faults);
            shared.wake();
            StatusCode::OK.into_response()
        }
        Err(refusal) => refusal,
    }
}

pub(crate) async fn clear_faults(State(shared): State<Arc<Shared>>) -> Response {
    shared.lock().set_faults(Faults::default());
    shared.wake();
    StatusCode::OK.into_response()
}

pub(crate) async fn stats(State(shared): State<Arc<Shared>>) -> Response {
    ok(&json!(shared.lock().stats))
}

pub(crate) async fn drop_sockets(State(shared): State<Arc<Shared>>) -> Response {
    shared.lock().sockets.drop_all();
    StatusCode::OK.into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refuse {
    ms: u64,
}

/// Has a limit, as nobody could reach the double to end it.
pub(crate) async fn refuse(State(shared): State<Arc<Shared>>, body: Body) -> Response {
    match parse::<Refuse>(&shared, body).await {
        Ok(Refuse { ms }) => {
            shared.lock().sockets.drop_all();
            shared.gate.shut_for(Duration::from_millis(ms));
            StatusCode::OK.into_response()
        }
        Err(refusal) => refusal,
    }
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct ModelChanges {
    add: HashMap<String, Vec<String>>,
    remove: HashMap<String, Vec<String>>,
}

pub(crate) async fn models(State(shared): State<Arc<Shared>>, body: Body) -> Response {
    let changes = match parse::<ModelChanges>(&shared, body).await {
        Ok(changes) => changes,
        Err(refusal) => return refusal,
    };
    let mut inner = shared.lock();
    for (folder, names) in &changes.add {
        for name in names {
            inner.models.add(folder, name);
        }
    }
    for (folder, names) in &changes.remove {
        for name in names {
            inner.models.remove(folder, name);
        }
    }
    StatusCode::OK.into_response()
}

/// Ends the process on the spot, like `kill -9`; no reply goes out.
pub(crate) async fn exit(State(shared): State<Arc<Shared>>) -> Response {
    if shared.options.may_exit {
        std::process::exit(KILLED);
    }
    let text = "only the comfyui-double program may exit\n";
    (StatusCode::CONFLICT, text).into_response()
}

async fn parse<T: DeserializeOwned>(shared: &Shared, body: Body) -> Result<T, Response> {
    let bytes = read(shared, body).await?;
    serde_json::from_slice(&bytes).map_err(|error| (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response())
}
