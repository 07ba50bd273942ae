//! What has run.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::item::Item;
use crate::prompt::ordered::Ordered;

/// ComfyUI keeps this many entries.
const KEPT: usize = 10_000;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Success,
    Error,
    Interrupted,
}

/// A finished run.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) item: Arc<Item>,
    pub(crate) end: End,
    pub(crate) outputs: Ordered<Value>,
    /// The start, cached and terminal messages, as `[kind, data]`.
    pub(crate) messages: Vec<(String, Value)>,
    pub(crate) started: u64,
    pub(crate) ended: u64,
    /// Not shown before this time.
    pub(crate) visible: Instant,
}

impl Entry {
    pub(crate) fn status(&self) -> Value {
        json!({
            "status_str": if self.end == End::Success { "success" } else { "error" },
            "completed": self.end == End::Success,
            "messages": self.messages,
        })
    }

    fn json(&self) -> Value {
        let meta: Map<_, _> = self
            .outputs
            .keys()
            .map(|id| {
                let meta = json!({ "node_id": id, "display_node": id, "parent_node": null, "real_node_id": id });
                (id.to_owned(), meta)
            })
            .collect();
        json!({
            "prompt": self.item.listed(),
            "outputs": self.outputs,
            "status": self.status(),
            "meta": meta,
        })
    }
}

/// Finished runs in the order of their ends.
#[derive(Debug, Default)]
pub(crate) struct History(Vec<Entry>);

impl History {
    /// Adds a run; one with the same id is replaced, as prompt ids are not checked to be new.
    pub(crate) fn add(&mut self, entry: Entry) {
        self.0.retain(|old| old.item.id != entry.item.id);
        self.0.push(entry);
        if self.0.len() > KEPT {
            self.0.remove(0);
        }
    }

    pub(crate) fn visible(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        let now = Instant::now();
        self.0.iter().filter(move |entry| entry.visible <= now)
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Entry> {
        self.visible().find(|entry| entry.item.id == id)
    }

    /// The reply of `/history/{id}`: `{}` for all that has not ended.
    pub(crate) fn one(&self, id: &str) -> Value {
        match self.find(id) {
            Some(entry) => json!({ id: entry.json() }),
            None => json!({}),
        }
    }

    /// The reply of `/history`: the newest entries if a number is given.
    pub(crate) fn list(&self, max_items: Option<usize>) -> Value {
        let entries: Vec<_> = self.visible().collect();
        let skipped = entries.len().saturating_sub(max_items.unwrap_or(usize::MAX));
        let shown: Map<_, _> = entries[skipped..]
            .iter()
            .map(|entry| (entry.item.id.clone(), entry.json()))
            .collect();
        shown.into()
    }

    /// Deletes entries and says how many.
    pub(crate) fn delete(&mut self, wanted: impl Fn(&str) -> bool) -> u64 {
        let before = self.0.len();
        self.0.retain(|entry| !wanted(&entry.item.id));
        (before - self.0.len()) as u64
    }
}
