//! What AWS would bill for what the emulator counted.

use std::collections::BTreeMap;

use serde_json::Value;

/// What was counted, and what it costs.
#[derive(Debug)]
pub(crate) struct Bill {
    pub(crate) http: f64,
    socket: f64,
    invocations: f64,
    reads: f64,
    writes: f64,
    calls: BTreeMap<String, f64>,
    pub(crate) dollars: f64,
}

/// On-demand prices of us-east-1 in dollars a million, as the services' price pages had them when this was written; check
/// them before you budget: HTTP API requests, WebSocket messages, Lambda requests, Lambda GB-seconds, DynamoDB read and
/// write units, S3 PUT and GET, SQS requests.
mod price {
    pub(super) const HTTP: f64 = 1.0;
    pub(super) const SOCKET: f64 = 1.0;
    pub(super) const INVOCATION: f64 = 0.2;
    pub(super) const GB_SECOND: f64 = 16.6667;
    pub(super) const READ: f64 = 0.125;
    pub(super) const WRITE: f64 = 0.625;
    pub(super) const S3_PUT: f64 = 5.0;
    pub(super) const S3_GET: f64 = 0.4;
    pub(super) const SQS: f64 = 0.4;
}

/// The difference of two counts.
pub(crate) fn bill(before: &Value, after: &Value) -> Bill {
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let changed = |pointer: &str| -> BTreeMap<String, f64> {
        let of = |counts: &Value, name: &str| number(&counts[pointer.trim_start_matches('/')][name]);
        let names = after.pointer(pointer).and_then(Value::as_object);
        let names = names.into_iter().flat_map(|map| map.keys().cloned());
        names
            .map(|name| (name.clone(), of(after, &name) - of(before, &name)))
            .filter(|(_, n)| *n > 0.0)
            .collect()
    };
    let deep = |list: &str, field: &str| -> f64 {
        let sum = |counts: &Value| -> f64 {
            let entries = counts[list].as_object();
            entries
                .into_iter()
                .flat_map(|map| map.values())
                .map(|entry| number(&entry[field]))
                .sum()
        };
        sum(after) - sum(before)
    };
    let api = changed("/api");
    let all_calls = changed("/calls");
    let calls = |name: &str| all_calls.get(name).copied().unwrap_or(0.0);
    let http = api.get("http_requests").copied().unwrap_or(0.0);
    let socket: f64 = ["websocket_messages_in", "websocket_messages_out", "websocket_connects"]
        .iter()
        .filter_map(|name| api.get(*name))
        .sum();
    let (invocations, ms) = (deep("functions", "invocations"), deep("functions", "ms"));
    let (reads, writes) = (deep("units", "read"), deep("units", "write"));
    let sqs = calls("sqs.SendMessage") * 3.0; // sent, received, deleted
    let micro = http * price::HTTP
        + socket * price::SOCKET
        + invocations * price::INVOCATION
        + ms / 1000.0 * 0.25 * price::GB_SECOND
        + reads * price::READ
        + writes * price::WRITE
        + calls("s3.PUT") * price::S3_PUT
        + (calls("s3.GET") + calls("s3.HEAD")) * price::S3_GET
        + sqs * price::SQS;
    let others = all_calls
        .iter()
        .filter(|(name, _)| !name.starts_with("dynamodb.") && !name.starts_with("apigateway"));
    Bill {
        http,
        socket,
        invocations,
        reads,
        writes,
        calls: others.map(|(name, n)| (name.clone(), *n)).collect(),
        dollars: micro / 1e6,
    }
}

impl Bill {
    pub(crate) fn row(&self, name: &str) -> String {
        let calls: Vec<_> = self.calls.iter().map(|(call, n)| format!("{call} {n:.0}")).collect();
        format!(
            "| {name} | {:.0} | {:.0} | {:.0} | {:.1} / {:.1} | {} | ${:.6} |",
            self.http,
            self.socket,
            self.invocations,
            self.reads,
            self.writes,
            calls.join(", "),
            self.dollars
        )
    }
}
