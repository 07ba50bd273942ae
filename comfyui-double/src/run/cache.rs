//! Results of nodes by what they were made from, so that nothing runs twice.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::nodes::thing::Thing;
use crate::options::Version;
use crate::pixels::paint::fingerprint;
use crate::prompt::graph::{Graph, Link};
use crate::prompt::ordered::Ordered;

/// Results that 0.33.0 keeps beyond those of the last prompt. It goes by free memory; a number does here.
const LIMIT: usize = 256;

/// What a node gave.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) things: Vec<Thing>,
    /// The `executed` output, for output nodes.
    pub(crate) ui: Option<Value>,
}

/// Results by signature.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    results: HashMap<u64, Kept>,
    ages: Vec<u64>,
}

impl Cache {
    pub(crate) fn get(&self, signature: u64) -> Option<&Kept> {
        self.results.get(&signature)
    }

    pub(crate) fn put(&mut self, signature: u64, result: Kept) {
        self.ages.retain(|other| *other != signature);
        self.ages.push(signature);
        self.results.insert(signature, result);
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Forgets what the next prompt may not use: 0.3.75 remembers only the last prompt.
    pub(crate) fn begin(&mut self, signatures: &HashMap<&str, u64>, version: Version) {
        let current: HashSet<_> = signatures.values().collect();
        let excess = match version {
            Version::V0_3 => self.ages.len(),
            Version::V0_33 => self.ages.len().saturating_sub(LIMIT),
        };
        let mut seen = 0;
        self.ages.retain(|signature| {
            seen += 1;
            seen > excess || current.contains(signature)
        });
        let kept: HashSet<_> = self.ages.iter().collect();
        self.results.retain(|signature, _| kept.contains(signature));
    }
}

/// The signatures of all nodes: class, values, and the signatures of what is linked. `content`
/// gives what else a node depends on, such as the bytes of a file.
pub(crate) fn signatures<'a>(graph: &'a Graph, content: &dyn Fn(&str) -> u64) -> HashMap<&'a str, u64> {
    let mut known = HashMap::new();
    for id in graph.keys() {
        signature(graph, id, content, &mut known, &mut Vec::new());
    }
    known
}

fn signature<'a>(
    graph: &'a Graph,
    id: &'a str,
    content: &dyn Fn(&str) -> u64,
    known: &mut HashMap<&'a str, u64>,
    path: &mut Vec<&'a str>,
) -> u64 {
    if let Some(signature) = known.get(id) {
        return *signature;
    }
    let Some(node) = graph.get(id).filter(|_| !path.contains(&id)) else {
        // A cycle or a missing node in a part that does not run.
        return 0;
    };
    path.push(id);
    let mut parts = Vec::new();
    for (name, value) in node.inputs.iter().flat_map(Ordered::iter) {
        let part = match Link::of(value) {
            Some(link) => format!("{:x}:{}", signature(graph, link.node, content, known, path), link.slot),
            None => value.to_string(),
        };
        parts.push((name, part));
    }
    parts.sort();
    path.pop();
    let file = match (node.class(), node.input("image")) {
        ("LoadImage" | "LoadImageMask", Some(Value::String(name))) => content(name),
        _ => 0,
    };
    let signature = fingerprint((node.class(), parts, file));
    known.insert(id, signature);
    signature
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_follows_the_inputs_not_the_ids() {
        let of = |text: &str, id: &str| {
            let graph: Graph = serde_json::from_str(text).unwrap();
            signatures(&graph, &|_| 0)[id]
        };
        let one = r#"{"1":{"class_type":"A","inputs":{"x":1}},"2":{"class_type":"B","inputs":{"a":["1",0]}}}"#;
        let renamed = r#"{"9":{"class_type":"A","inputs":{"x":1}},"8":{"class_type":"B","inputs":{"a":["9",0]}}}"#;
        let changed = r#"{"1":{"class_type":"A","inputs":{"x":2}},"2":{"class_type":"B","inputs":{"a":["1",0]}}}"#;
        assert_eq!(of(one, "2"), of(renamed, "8"));
        assert_ne!(of(one, "2"), of(changed, "2"));
    }
}
