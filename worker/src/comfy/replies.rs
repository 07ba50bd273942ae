//! ComfyUI's replies, as far as a worker looks at them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The prompts that ComfyUI knows of.
#[derive(Debug, Deserialize)]
pub(crate) struct Queue {
    queue_running: Vec<Queued>,
    queue_pending: Vec<Queued>,
}

/// An entry of the queue: number, prompt id, and more about it that changes with ComfyUI's version.
#[derive(Debug, Deserialize)]
#[serde(from = "Vec<Value>")]
struct Queued {
    id: Option<String>,
}

impl From<Vec<Value>> for Queued {
    fn from(entry: Vec<Value>) -> Self {
        Self {
            id: entry.get(1).and_then(Value::as_str).map(str::to_owned),
        }
    }
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue_running.is_empty() && self.queue_pending.is_empty()
    }

    pub(crate) fn holds(&self, id: &str) -> bool {
        self.queue_running
            .iter()
            .chain(&self.queue_pending)
            .any(|queued| queued.id.as_deref() == Some(id))
    }
}

/// A finished prompt.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct History {
    #[serde(default)]
    pub(crate) outputs: BTreeMap<String, NodeOutput>,
    #[serde(default)]
    pub(crate) status: HistoryStatus,
}

/// What an output node has made.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct NodeOutput {
    #[serde(default)]
    pub(crate) images: Vec<OutputFile>,
    /// What a node that shows text has shown.
    #[serde(default)]
    pub(crate) text: Vec<Value>,
}

/// A file that ComfyUI has written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct OutputFile {
    pub(crate) filename: String,
    #[serde(default)]
    pub(crate) subfolder: String,
    #[serde(default, rename = "type")]
    pub(crate) folder: String,
}

/// How a prompt ended: `success`, or `error` which also stands for interrupted.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct HistoryStatus {
    #[serde(default)]
    pub(crate) status_str: String,
    #[serde(default)]
    pub(crate) messages: Vec<(String, Value)>,
}
