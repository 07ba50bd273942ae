//! The order in which ComfyUI runs the nodes of a graph.
//!
//! Derived from recorded and compared runs: nodes are gathered from the outputs backwards with a
//! stack (the last link first). Of the nodes that are ready, an output node goes first, then one
//! that feeds an output node, then one that is two steps from one, then the one gathered first.

use std::collections::{HashMap, HashSet};

use super::graph::{Graph, Node};
use super::object_info;

/// From here on, the number of steps to an output makes no difference.
const FAR: usize = 3;

/// Nodes to visit, in order. Nodes behind a cached one are not visited.
pub(crate) fn order<'a>(graph: &'a Graph, outputs: &'a [String], is_cached: &dyn Fn(&str) -> bool) -> Vec<&'a str> {
    let nodes = gather(graph, outputs, is_cached);
    let place: HashMap<&str, usize> = nodes.iter().enumerate().map(|(place, (id, _))| (*id, place)).collect();
    let mut waits_for = vec![0; nodes.len()];
    let mut feeds = vec![Vec::new(); nodes.len()];
    for (target, (_, sources)) in nodes.iter().enumerate() {
        for source in sources.iter().filter_map(|source| place.get(source)) {
            waits_for[target] += 1;
            feeds[*source].push(target);
        }
    }
    let start = |id: &str| if is_output(graph, id) { 0 } else { FAR };
    let mut steps_to_output: Vec<_> = nodes.iter().map(|(id, _)| start(id)).collect();
    for _ in 1..FAR {
        for node in 0..nodes.len() {
            let nearest = feeds[node]
                .iter()
                .map(|target: &usize| steps_to_output[*target] + 1)
                .min();
            if steps_to_output[node] > 0 {
                steps_to_output[node] = nearest.unwrap_or(FAR).min(FAR);
            }
        }
    }

    let mut left: Vec<usize> = (0..nodes.len()).collect();
    let mut order = Vec::with_capacity(nodes.len());
    // Validation has refused cycles, so some node is always ready.
    while let Some(next) = left
        .iter()
        .copied()
        .filter(|node| waits_for[*node] == 0)
        .min_by_key(|node| (steps_to_output[*node], *node))
    {
        left.retain(|node| *node != next);
        for target in &feeds[next] {
            waits_for[*target] -= 1;
        }
        order.push(nodes[next].0);
    }
    order
}

/// The nodes that take part, in the order of finding, with the nodes that each waits for.
fn gather<'a>(
    graph: &'a Graph,
    outputs: &'a [String],
    is_cached: &dyn Fn(&str) -> bool,
) -> Vec<(&'a str, Vec<&'a str>)> {
    let by_id: HashMap<&str, &Node> = graph.iter().collect();
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for output in outputs {
        let mut stack = vec![output.as_str()];
        while let Some(id) = stack.pop() {
            let Some(node) = by_id.get(id) else { continue };
            if !seen.insert(id) {
                continue;
            }
            let mut sources: Vec<_> = node.links().map(|(_, link)| link.node).collect();
            sources.retain(|source| !is_cached(id) && !is_cached(source));
            stack.extend(&sources);
            found.push((id, sources));
        }
    }
    found
}

fn is_output(graph: &Graph, id: &str) -> bool {
    graph
        .get(id)
        .and_then(|node| object_info::class(node.class()))
        .is_some_and(|class| class.output_node)
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
    #[test]
    fn short_ways_to_an_output_go_first() {
        let graph: Graph = serde_json::from_str(
            r#"{
            "a4": {"class_type": "SaveImage", "inputs": {"images": ["a3", 0]}},
            "b3": {"class_type": "SaveImage", "inputs": {"images": ["b2", 0]}},
            "a1": {"class_type": "EmptyImage", "inputs": {}},
            "a2": {"class_type": "ImageInvert", "inputs": {"image": ["a1", 0]}},
            "a3": {"class_type": "ImageInvert", "inputs": {"image": ["a2", 0]}},
            "b1": {"class_type": "EmptyImage", "inputs": {}},
            "b2": {"class_type": "ImageInvert", "inputs": {"image": ["b1", 0]}}
        }"#,
        )
        .unwrap();
        let outputs = ["a4".to_owned(), "b3".to_owned()];
        assert_eq!(
            order(&graph, &outputs, &|_| false),
            ["b1", "b2", "b3", "a1", "a2", "a3", "a4"]
        );
    }
}
