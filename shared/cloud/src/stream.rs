//! A table's stream: what was written to its items, in batches. Like every message it only says where to look.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A batch of changes. Each is read by itself, so that a damaged one takes no other along.
#[derive(Debug, Default, Deserialize)]
pub struct StreamEvent {
    /// The changes, in order for each item.
    #[serde(rename = "Records")]
    pub records: Vec<Value>,
}

/// A change of an item, as far as anybody needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a>(pub &'a Value);

impl<'a> Change<'a> {
    fn text(self, pointer: &str) -> Option<&'a str> {
        self.0.pointer(pointer).and_then(Value::as_str)
    }

    /// Its number in the stream, by which a failure is reported; empty if it has none, which reports the whole batch.
    pub fn number(self) -> &'a str {
        self.text("/dynamodb/SequenceNumber").unwrap_or_default()
    }

    /// A text among the item's keys.
    pub fn key(self, name: &str) -> Option<&'a str> {
        self.text(&format!("/dynamodb/Keys/{name}/S"))
    }

    /// Whether the item may have this attribute now: it has, or the stream does not show it.
    pub fn may_have(self, name: &str) -> bool {
        let removed = self.text("/eventName") == Some("REMOVE");
        let image = self.0.pointer("/dynamodb/NewImage");
        !removed && image.is_none_or(|image| image.get(name).is_some())
    }
}

/// What became of a batch.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamResponse {
    /// The changes that are to come again, and with them whatever came after the first of them.
    #[serde(rename = "batchItemFailures")]
    pub failures: Vec<StreamFailure>,
}

/// A change that is to come again.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct StreamFailure {
    /// Its number in the stream.
    #[serde(rename = "itemIdentifier")]
    pub number: String,
}
