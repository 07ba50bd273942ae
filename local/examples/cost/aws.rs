//! AWS that answers at once: reads from a studio that never changes, and takes every write without keeping it, so that
//! each call finds the same.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use anyhow::{Result, ensure};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

/// What AWS knows.
#[derive(Debug)]
pub(crate) struct Known {
    /// Every item: its table's name and its attributes as DynamoDB writes them.
    pub(crate) items: Vec<(String, Map<String, Value>)>,
    /// The answer to `DescribeInstances`.
    pub(crate) instances: String,
    /// The one secret.
    pub(crate) secret: String,
}

#[derive(Debug)]
struct Shared {
    known: Known,
    calls: AtomicU64,
    unknown: Mutex<Vec<String>>,
}

/// It runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Aws {
    /// Where it listens.
    pub(crate) endpoint: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Drop for Aws {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Aws {
    pub(crate) async fn start(known: Known) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            known,
            calls: AtomicU64::new(0),
            unknown: Mutex::default(),
        });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // Ends with this.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self {
            endpoint,
            shared,
            server,
        })
    }

    /// How often it was called since the last time; an error if there was anything that it does not know.
    pub(crate) fn take_calls(&self) -> Result<u64> {
        let unknown = self.shared.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(unknown.is_empty(), "this is not AWS enough: {}", unknown.join(", "));
        Ok(self.shared.calls.swap(0, Ordering::Relaxed))
    }
}

async fn answer(State(aws): State<Arc<Shared>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    aws.calls.fetch_add(1, Ordering::Relaxed);
    let target = headers.get("x-amz-target").and_then(|it| it.to_str().ok());
    let target = target.unwrap_or_default();
    // As in `DynamoDB_20120810.GetItem`.
    let operation = target.rsplit_once('.').map_or("", |(_, operation)| operation);
    let request = || serde_json::from_slice(&body).unwrap_or_default();
    match operation {
        "GetItem" => amz(&get_item(&aws.known, &request())),
        "BatchGetItem" => amz(&batch_get_item(&aws.known, &request())),
        "Query" => amz(&query(&aws.known, &request())),
        "PutItem" | "DeleteItem" | "TransactWriteItems" => amz(&json!({})),
        "SendMessage" => amz(&json!({
            "MessageId": "fbe2a3f4-2a63-4f1e-8a50-0a4a4a0d6a11", "MD5OfMessageBody": "fafb00f5732ab283681e124bf8747ed1",
        })),
        "GetQueueAttributes" => amz(&json!({ "Attributes": {} })),
        "GetSecretValue" => amz(&json!({
            "ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:SigningSecret-a1b2c3",
            "Name": "SigningSecret", "SecretString": aws.known.secret, "CreatedDate": 1_788_264_000.5,
            "VersionId": "11111111-2222-4333-8444-555555555555", "VersionStages": ["AWSCURRENT"],
        })),
        "" if method == Method::HEAD => StatusCode::NOT_FOUND.into_response(),
        "" if uri.path().contains("/@connections/") => StatusCode::OK.into_response(),
        "" if body.starts_with(b"Action=DescribeInstances&") => {
            ([(CONTENT_TYPE, "text/xml;charset=UTF-8")], aws.known.instances.clone()).into_response()
        }
        _ => {
            let what = format!("{method} {} {target} {}", uri.path(), String::from_utf8_lossy(&body));
            let mut unknown = aws.unknown.lock().unwrap_or_else(PoisonError::into_inner);
            unknown.push(what);
            StatusCode::BAD_REQUEST.into_response()
        }
    }
}

fn amz(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/x-amz-json-1.0")], value.to_string()).into_response()
}

fn get_item(known: &Known, request: &Value) -> Value {
    let key = request["Key"].as_object();
    let found = known.items.iter().find(|(table, item)| {
        let mut key = key.into_iter().flatten();
        request["TableName"] == **table && key.all(|(name, value)| item.get(name) == Some(value))
    });
    found.map_or_else(|| json!({}), |(_, item)| json!({ "Item": item }))
}

fn batch_get_item(known: &Known, request: &Value) -> Value {
    let tables = request["RequestItems"].as_object().into_iter().flatten();
    let of_table = |(table, wanted): (&String, &Value)| {
        let keys = wanted["Keys"].as_array().into_iter().flatten();
        let items = keys.map(|key| get_item(known, &json!({ "TableName": table, "Key": key }))["Item"].take());
        (table.clone(), items.filter(|it| !it.is_null()).collect::<Value>())
    };
    json!({ "Responses": tables.map(of_table).collect::<Map<_, _>>(), "UnprocessedKeys": {} })
}

fn query(known: &Known, request: &Value) -> Value {
    let name = request["ExpressionAttributeNames"]["#p"].as_str().unwrap_or_default();
    let value = &request["ExpressionAttributeValues"][":p"];
    let items = known.items.iter();
    let items = items.filter(|(table, item)| request["TableName"] == **table && item.get(name) == Some(value));
    let items: Vec<_> = items.map(|(_, item)| item).collect();
    json!({ "Count": items.len(), "ScannedCount": items.len(), "Items": items })
}

/// An item as DynamoDB writes it.
pub(crate) fn attributes(item: &Map<String, Value>) -> Map<String, Value> {
    item.iter()
        .map(|(name, value)| (name.clone(), attribute(value)))
        .collect()
}

fn attribute(value: &Value) -> Value {
    match value {
        Value::Null => json!({ "NULL": true }),
        Value::Bool(it) => json!({ "BOOL": it }),
        Value::Number(it) => json!({ "N": it.to_string() }),
        Value::String(it) => json!({ "S": it }),
        Value::Array(it) => json!({ "L": it.iter().map(attribute).collect::<Vec<_>>() }),
        Value::Object(it) => json!({ "M": attributes(it) }),
    }
}
