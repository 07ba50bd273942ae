//! The order in which ComfyUI runs the nodes of a graph.
//!
//! Derived from recorded and compared runs: nodes are gathered from the outputs backwards with a
//! stack (the last link first). Of the nodes that are ready, an output node goes first, then one
//! that feeds an output node, then one that is two steps from one, then the one gathered first.

use std::collections::HashSet;

use crate::graph::{Graph, Node};
use crate::object_info;

/// Nodes to visit, in order. Nodes behind a cached one are not visited.
pub(crate) fn order<'a>(graph: &'a Graph, outputs: &'a [String], is_cached: &dyn Fn(&str) -> bool) -> Vec<&'a str> {
    let mut pending: Vec<&str> = Vec::new();
    for output in outputs {
        let mut stack = vec![output.as_str()];
        while let Some(id) = stack.pop() {
            if pending.contains(&id) || !graph.contains(id) {
                continue;
            }
            pending.push(id);
            if is_cached(id) {
                continue;
            }
            let links = graph.get(id).into_iter().flat_map(Node::links);
            stack.extend(links.map(|(_, link)| link.node).filter(|source| !is_cached(source)));
        }
    }

    let mut waiting: HashSet<&str> = pending.iter().copied().collect();
    let mut order = Vec::new();
    while !pending.is_empty() {
        let ready = |id: &&str| {
            is_cached(id)
                || graph
                    .get(id)
                    .into_iter()
                    .flat_map(Node::links)
                    .all(|(_, link)| !waiting.contains(link.node))
        };
        let near = |steps: usize| {
            pending
                .iter()
                .position(|id| ready(id) && feeds_output(graph, &pending, id, steps))
        };
        let next = (0..=2).find_map(near).or_else(|| pending.iter().position(ready));
        // Validation has refused cycles, so some node is always ready.
        let Some(next) = next else { break };
        let id = pending.remove(next);
        waiting.remove(id);
        order.push(id);
    }
    order
}

/// Whether an output node among the pending ones is this many links behind a node.
fn feeds_output(graph: &Graph, pending: &[&str], id: &str, steps: usize) -> bool {
    if steps == 0 {
        return graph
            .get(id)
            .and_then(|node| object_info::class(node.class()))
            .is_some_and(|class| class.output_node);
    }
    pending
        .iter()
        .filter(|other| {
            let mut links = graph.get(other).into_iter().flat_map(Node::links);
            links.any(|(_, link)| link.node == id)
        })
        .any(|other| feeds_output(graph, pending, other, steps - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TXT2IMG: &str = r#"{
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["4", 1]}},
        "3": {"class_type": "KSampler", "inputs": {"model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0]}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {}}
    }"#;

    #[test]
    fn follows_the_recorded_orders() {
        let graph: Graph = serde_json::from_str(TXT2IMG).unwrap();
        let outputs = ["9".to_owned()];
        assert_eq!(order(&graph, &outputs, &|_| false), ["4", "5", "7", "6", "3", "8", "9"]);
        let cached = |id: &str| ["4", "5", "6", "7"].contains(&id);
        assert_eq!(order(&graph, &outputs, &cached), ["3", "8", "9"]);
    }

    #[test]
    fn an_output_that_is_ready_goes_first() {
        let graph: Graph = serde_json::from_str(
            r#"{
            "1": {"class_type": "EmptyImage", "inputs": {}},
            "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
            "3": {"class_type": "ImageScale", "inputs": {"image": ["2", 0]}},
            "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}},
            "5": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}}
        }"#,
        )
        .unwrap();
        let outputs = ["4".to_owned(), "5".to_owned()];
        assert_eq!(order(&graph, &outputs, &|_| false), ["1", "2", "5", "3", "4"]);
    }
}
