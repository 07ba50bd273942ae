//! Prompts in the queue.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::prompt::graph::Graph;

/// A prompt that was accepted.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) number: Value,
    pub(crate) id: String,
    pub(crate) graph: Graph,
    /// The graph as posted, for `/queue` and `/history`.
    pub(crate) raw: Box<RawValue>,
    pub(crate) extra: Value,
    pub(crate) outputs: Vec<String>,
    pub(crate) created: u64,
}

impl Item {
    /// The posting client, if it gave an id.
    pub(crate) fn client(&self) -> Option<&str> {
        self.extra["client_id"].as_str()
    }

    /// The list form that `/queue` and `/history` show.
    pub(crate) fn listed(&self) -> Value {
        let graph = serde_json::from_str::<Value>(self.raw.get()).unwrap_or_default();
        json!([self.number, self.id, graph, self.extra, self.outputs])
    }
}
