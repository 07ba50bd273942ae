//! ComfyUI's graphs in its API format.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::fmt;

/// A graph in ComfyUI's API format: node ids "1", "2", … in the order of creation, each with `class_type` and `inputs`.
///
/// Displayed, it is one line per node, for logs and reviews.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Graph(Map<String, Value>);

impl Graph {
    /// Of nodes in this order: class and inputs.
    pub(crate) fn of(nodes: impl IntoIterator<Item = (&'static str, Map<String, Value>)>) -> Self {
        let entries = (1_usize..).zip(nodes);
        Self(
            entries
                .map(|(id, (class, inputs))| (id.to_string(), json!({"class_type": class, "inputs": inputs})))
                .collect(),
        )
    }

    /// What ComfyUI's `POST /prompt` takes as `prompt`.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// What ComfyUI's `POST /prompt` takes as `prompt`.
    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }

    /// Sets every strength of a LoRA to 0.
    pub(crate) fn silence(&mut self, lora: &str) {
        self.lora_inputs(lora, |inputs| {
            for strength in ["strength_model", "strength_clip"] {
                inputs.insert(strength.to_owned(), 0.0.into());
            }
        });
    }

    /// Gives the inputs of each node that loads a LoRA to `change`.
    pub(crate) fn lora_inputs(&mut self, lora: &str, change: impl Fn(&mut Map<String, Value>)) {
        let inputs = self
            .0
            .values_mut()
            .filter_map(|node| node.get_mut("inputs")?.as_object_mut());
        inputs
            .filter(|inputs| inputs.get("lora_name").is_some_and(|name| name == lora))
            .for_each(change);
    }

    /// Gives a text input of some nodes to `change`, which may replace it.
    pub(crate) fn edit<E>(
        &mut self,
        classes: &[&str],
        input: &str,
        mut change: impl FnMut(&mut String) -> Result<(), E>,
    ) -> Result<(), E> {
        for node in self.0.values_mut() {
            if !node["class_type"]
                .as_str()
                .is_some_and(|class| classes.contains(&class))
            {
                continue;
            }
            if let Some(Value::String(text)) = node.pointer_mut(&format!("/inputs/{input}")) {
                change(text)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whether serde_json keeps the order of keys depends on features that another crate may switch on.
        let mut nodes: Vec<_> = self.0.iter().collect();
        nodes.sort_by_key(|(id, _)| (id.len(), id.as_str()));
        for (id, node) in nodes {
            let class = node["class_type"].as_str().unwrap_or("?");
            let mut inputs: Vec<_> = node["inputs"].as_object().into_iter().flatten().collect();
            inputs.sort_by_key(|(name, _)| name.as_str());
            let inputs: Vec<_> = inputs
                .into_iter()
                .map(|(name, value)| format!("{name}: {}", brief(value)))
                .collect();
            writeln!(f, "{id} {class}({})", inputs.join(", "))?;
        }
        Ok(())
    }
}

/// A link as node#output, anything else as JSON.
fn brief(value: &Value) -> String {
    match value.as_array().map(Vec::as_slice) {
        Some([Value::String(node), Value::Number(output)]) => format!("{node}#{output}"),
        _ => value.to_string(),
    }
}
