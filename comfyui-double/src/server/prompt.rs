//! `/prompt`: how many wait, and posting one.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uuid::Uuid;

use super::reply::{broken, json, ok, read};
use crate::options::Version;
use crate::prompt::check::Context;
use crate::prompt::graph::Graph;
use crate::prompt::object_info::python_str;
use crate::prompt::ordered::Ordered;
use crate::prompt::problem;
use crate::prompt::validate::{Verdict, validate};
use crate::state::item::Item;
use crate::state::shared::{Inner, Shared, now_ms};

pub(crate) async fn remaining(State(shared): State<Arc<Shared>>) -> Response {
    let remaining = shared.lock().remaining();
    ok(&json!({ "exec_info": { "queue_remaining": remaining } }))
}

pub(crate) async fn post(State(shared): State<Arc<Shared>>, body: Body) -> Response {
    let bytes = match read(&shared, body).await {
        Ok(bytes) => bytes,
        Err(refusal) => return refusal,
    };
    let body: Ordered<Box<RawValue>> = match serde_json::from_slice(&bytes) {
        Ok(body) => body,
        // `"prompt" in []` is simply false in Python.
        Err(_) if serde_json::from_slice::<Vec<Value>>(&bytes).is_ok() => Ordered::default(),
        Err(_) => return broken(),
    };
    let Some(raw) = body.get("prompt") else {
        let error = problem::error("no_prompt", "No prompt provided", "No prompt provided");
        return refuse(&shared, &error, &json!({}));
    };
    let graph: Graph = match serde_json::from_str(raw.get()) {
        Ok(graph) => graph,
        // An empty list has no nodes either.
        Err(_) if raw.get().trim() == "[]" => Graph::default(),
        Err(_) => return broken(),
    };
    let field = |name: &str| -> Value {
        body.get(name)
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default()
    };
    let id = match prompt_id(&field("prompt_id"), shared.options.version) {
        Ok(id) => id,
        Err(error) => return refuse(&shared, &error, &json!({})),
    };
    accept(&shared, id, graph, raw.clone(), &field)
}

fn accept(shared: &Shared, id: String, graph: Graph, raw: Box<RawValue>, field: &dyn Fn(&str) -> Value) -> Response {
    let mut inner = shared.lock();
    let context = Context {
        version: shared.options.version,
        models: &inner.models,
        files: &inner.files,
        optional_nodes: shared.options.optional_nodes,
    };
    let (outputs, mut node_errors) = match validate(&graph, &context) {
        Verdict::Accepted { outputs, node_errors } => (outputs, node_errors),
        Verdict::Refused { error, node_errors } => {
            drop(inner);
            return refuse(shared, &error, &node_errors);
        }
    };
    if inner.faults.node_errors > 0 {
        inner.faults.node_errors -= 1;
        node_errors = invented_node_errors(&graph);
    }
    let number = number(&mut inner, field);
    let reply = json!({ "prompt_id": id, "number": number, "node_errors": node_errors });
    inner.enqueue(Item {
        number,
        id,
        graph,
        raw,
        extra: extra_data(field),
        outputs,
        created: now_ms(),
    });
    drop(inner);
    shared.wake();
    ok(&reply)
}

fn refuse(shared: &Shared, error: &Value, node_errors: &Value) -> Response {
    shared.lock().stats.prompts_refused += 1;
    json(
        StatusCode::BAD_REQUEST,
        &json!({ "error": error, "node_errors": node_errors }),
    )
}

/// The id that the client chose, or a new one.
fn prompt_id(wanted: &Value, version: Version) -> Result<String, Value> {
    if wanted.is_null() {
        return Ok(Uuid::new_v4().to_string());
    }
    let text = python_str(wanted);
    let canonical = Uuid::parse_str(&text).is_ok_and(|id| id.to_string() == text);
    if version == Version::V0_33 && !(wanted.is_string() && canonical) {
        return Err(problem::error(
            "invalid_prompt_id",
            "prompt_id must be a valid UUID",
            "prompt_id must be a UUID string in canonical lowercase hyphenated form; \
             omit it to let the server generate one",
        ));
    }
    Ok(text)
}

/// Lower numbers run earlier; `front` makes the next number negative.
fn number(inner: &mut Inner, field: &dyn Fn(&str) -> Value) -> Value {
    if let Some(number) = field("number").as_f64() {
        return json!(number);
    }
    let number = inner.counter;
    inner.counter += 1;
    json!(if field("front") == json!(true) { -number } else { number })
}

fn extra_data(field: &dyn Fn(&str) -> Value) -> Value {
    let mut extra = match field("extra_data") {
        Value::Object(extra) => extra,
        _ => serde_json::Map::new(),
    };
    // Secrets are not kept.
    extra.remove("auth_token_comfy_org");
    extra.remove("api_key_comfy_org");
    let client = field("client_id");
    if !client.is_null() {
        extra.insert("client_id".to_owned(), client);
    }
    extra.insert("create_time".to_owned(), json!(now_ms()));
    extra.into()
}

/// The fault of an answer that says 200 and hides that a part will not run.
fn invented_node_errors(graph: &Graph) -> Value {
    let Some((id, node)) = graph.iter().next() else {
        return json!({});
    };
    json!({ id: {
        "errors": [{
            "type": "required_input_missing",
            "message": "Required input is missing",
            "details": "a fault that a test asked for",
            "extra_info": { "input_name": "width" },
        }],
        "dependent_outputs": [],
        "class_type": node.class(),
    } })
}
