//! One share for a whole graph, from what ComfyUI tells of its nodes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::events::RunEvent;

/// How far a graph is. Sampling weighs by its steps, everything else little.
#[derive(Debug)]
pub(crate) struct Meter {
    weights: BTreeMap<String, f64>,
    shares: BTreeMap<String, f64>,
    running: Option<String>,
}

/// Nodes that only name or load things.
const SMALL: f64 = 0.1;
/// Work on pixels that is not sampling, in steps.
const PIXELS: f64 = 1.0;
/// Only the end of the run is the whole of it.
const MOST: f64 = 0.99;

impl Meter {
    /// `steps` is what all samplers of the graph take together.
    pub(crate) fn new(graph: &Map<String, Value>, steps: u32) -> Self {
        let class = |node: &Value| node["class_type"].as_str().unwrap_or_default().to_owned();
        let samples = |node: &Value| {
            let class = class(node);
            class.starts_with("KSampler") && class != "KSamplerSelect" || class.starts_with("SamplerCustom")
        };
        let samplers = graph.values().filter(|node| samples(node)).count().max(1);
        let each = f64::from(steps.max(1)) / samplers as f64;
        let weight = |node: &Value| match class(node).as_str() {
            _ if samples(node) => each,
            "VAEDecode" | "VAEDecodeTiled" | "VAEEncode" | "VAEEncodeTiled" | "ImageUpscaleWithModel" => PIXELS,
            _ => SMALL,
        };
        let weights = graph.iter().map(|(id, node)| (id.clone(), weight(node))).collect();
        Self {
            weights,
            shares: BTreeMap::new(),
            running: None,
        }
    }

    /// Takes an event in and tells the share done.
    pub(crate) fn on(&mut self, event: &RunEvent) -> f32 {
        match event {
            RunEvent::Executing(node) => {
                if let Some(before) = self.running.replace(node.clone()).filter(|before| before != node) {
                    self.shares.insert(before, 1.0);
                }
            }
            RunEvent::Progress { node, value, max } if *max > 0.0 => {
                let share = (value / max).clamp(0.0, 1.0);
                self.shares.insert(node.clone(), share);
            }
            RunEvent::Cached(nodes) => {
                // What is cached takes no time, so it is no part of the whole.
                let cached: BTreeSet<_> = nodes.iter().collect();
                self.weights.retain(|node, _| !cached.contains(node));
            }
            RunEvent::Progress { .. } | RunEvent::Ended => {}
        }
        let whole: f64 = self.weights.values().sum();
        let done: f64 = self
            .shares
            .iter()
            .filter_map(|(node, share)| Some(self.weights.get(node)? * share))
            .sum();
        if whole > 0.0 {
            (done / whole).clamp(0.0, MOST) as f32
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn steps_weigh_most() {
        let graph = json!({
            "1": {"class_type": "CheckpointLoaderSimple"}, "2": {"class_type": "KSamplerSelect"},
            "3": {"class_type": "SamplerCustomAdvanced"}, "4": {"class_type": "VAEDecode"}, "5": {"class_type": "SaveImage"}
        });
        let mut meter = Meter::new(graph.as_object().unwrap(), 20);
        let start = meter.on(&RunEvent::Cached(vec!["1".into(), "2".into()]));
        assert!(start < 0.01);
        meter.on(&RunEvent::Executing("3".into()));
        let half = meter.on(&RunEvent::Progress {
            node: "3".into(),
            value: 10.0,
            max: 20.0,
        });
        assert!((0.45..0.5).contains(&half), "{half}");
        let sampled = meter.on(&RunEvent::Executing("4".into()));
        assert!((0.9..0.99).contains(&sampled), "{sampled}");
        assert!(meter.on(&RunEvent::Executing("5".into())) <= 0.99);
    }

    #[test]
    fn nothing_known_is_nothing_done() {
        let mut meter = Meter::new(&Map::new(), 0);
        assert!(
            meter
                .on(&RunEvent::Progress {
                    node: "9".into(),
                    value: 1.0,
                    max: 0.0
                })
                .abs()
                < f32::EPSILON
        );
    }
}
