//! Golden events, and others made of them.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use model::{Millis, TaskId};
use serde_json::{Value, json};

use super::{NOW, POOL, TEAM};

pub(crate) fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Reads a JSON file, once.
fn read(path: PathBuf) -> Value {
    static READ: Mutex<BTreeMap<PathBuf, Value>> = Mutex::new(BTreeMap::new());
    let mut known = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(value) = known.get(&path) {
        return value.clone();
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    known.insert(path, value.clone());
    value
}

/// A golden event.
pub(crate) fn golden(function: &str, name: &str) -> Value {
    read(workspace().join("events").join(function).join(format!("{name}.json")))
}

/// A captured request of the plugin.
pub(crate) fn wire(name: &str) -> Value {
    read(workspace().join("workflow/tests/wire").join(format!("{name}.json")))
}

/// What the authorizer says about a painter.
pub(crate) fn painter(user: &str) -> Value {
    json!({ "sub": user, "team": TEAM, "role": "painter", "iat": NOW.seconds() })
}

/// What the authorizer says about a worker with a fresh token.
pub(crate) fn worker_context(worker: &str, generation: u32, issued: Millis) -> Value {
    json!({
        "sub": worker, "team": POOL, "role": "worker", "iat": issued.seconds(),
        "generation": generation, "pool": POOL,
    })
}

/// An HTTP event: the golden submit with another route, caller and body. `id` stands for every path parameter.
pub(crate) fn http(route: &str, id: &str, caller: Option<&Value>, body: &Value) -> Value {
    let text = match body {
        Value::String(text) => text.clone(),
        body => body.to_string(),
    };
    let (method, path) = route.split_once(' ').unwrap();
    let mut event = golden("generate", "submit");
    let mut parameters = serde_json::Map::new();
    let mut parts = Vec::new();
    for part in path.split('/') {
        let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        parts.push(if name.is_some() { id } else { part });
        if let Some(name) = name {
            parameters.insert(name.to_owned(), id.into());
        }
    }
    let path = parts.join("/");
    event["headers"]["content-length"] = text.len().to_string().into();
    event["routeKey"] = route.into();
    event["rawPath"] = path.clone().into();
    event["pathParameters"] = parameters.into();
    event["body"] = text.into();
    let context = &mut event["requestContext"];
    context["routeKey"] = route.into();
    context["http"]["method"] = method.into();
    context["http"]["path"] = path.into();
    match caller {
        Some(caller) => context["authorizer"]["lambda"] = caller.clone(),
        None => drop(context.as_object_mut().unwrap().remove("authorizer")),
    }
    event
}

/// A batch of messages with these bodies, numbered from 1.
pub(crate) fn sqs(bodies: &[String]) -> Value {
    let template = golden("dispatch", "batch")["Records"][0].clone();
    let records = bodies.iter().zip(1..).map(|(body, number)| {
        let mut record = template.clone();
        record["messageId"] = format!("message-{number}").into();
        record["body"] = body.as_str().into();
        record
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

/// Changes of these tasks in the stream, numbered from 1, all over and without a record.
pub(crate) fn changes(tasks: &[TaskId]) -> Value {
    let golden = golden("archive", "stream");
    let records = tasks.iter().zip(1..).map(|(task, number)| {
        let mut record = golden["Records"][0].clone();
        record["dynamodb"]["Keys"]["task_id"]["S"] = task.to_string().into();
        record["dynamodb"]["SequenceNumber"] = number.to_string().into();
        record
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

/// A WebSocket event of a golden kind: another caller, connection and message.
pub(crate) fn socket_event(name: &str, connection: &str, caller: &Value, message: Option<&Value>) -> Value {
    let mut event = golden("progress-push", name);
    let context = &mut event["requestContext"];
    context["connectionId"] = connection.into();
    context["authorizer"] = caller.clone();
    if let Some(message) = message {
        context["routeKey"] = message["action"].clone();
        event["body"] = message.to_string().into();
    }
    event
}

/// What a token says, unchecked.
pub(crate) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
