//! How long ComfyUI takes to read a main model.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::events::RunEvent;

/// The time that a graph spends in the nodes that read checkpoints and diffusion models. ComfyUI keeps what it has read: then these
/// nodes do not run.
#[derive(Debug)]
pub(crate) struct Loading {
    loaders: BTreeSet<String>,
    since: Option<Instant>,
    took: Option<Duration>,
}

impl Loading {
    pub(crate) fn new(graph: &Map<String, Value>) -> Self {
        let loads = |node: &Value| {
            matches!(
                node["class_type"].as_str(),
                Some("CheckpointLoaderSimple" | "UNETLoader")
            )
        };
        let loaders = graph.iter().filter(|(_, node)| loads(node)).map(|(id, _)| id.clone());
        Self {
            loaders: loaders.collect(),
            since: None,
            took: None,
        }
    }

    /// Takes in what happens at this time.
    pub(crate) fn on(&mut self, event: &RunEvent, now: Instant) {
        let begins = match event {
            RunEvent::Executing(node) => self.loaders.contains(node),
            RunEvent::Ended => false,
            RunEvent::Progress { .. } | RunEvent::Cached(_) => return,
        };
        if begins {
            self.since.get_or_insert(now);
        } else if let Some(since) = self.since.take() {
            *self.took.get_or_insert_default() += now - since;
        }
    }

    /// How long that was; none if nothing was read.
    pub(crate) fn took(&self) -> Option<Duration> {
        self.took
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_nodes_that_read_a_main_model_count() {
        let graph = json!({
            "1": { "class_type": "CheckpointLoaderSimple" }, "2": { "class_type": "CLIPTextEncode" },
            "3": { "class_type": "KSampler" },
        });
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let executing = |node: &str| RunEvent::Executing(node.to_owned());
        let mut loading = Loading::new(graph.as_object().unwrap());
        loading.on(&executing("2"), at(0));
        assert_eq!(loading.took(), None, "it was loaded before");
        for (event, second) in [
            (executing("1"), 1),
            (executing("1"), 2),
            (executing("2"), 6),
            (executing("3"), 20),
            (RunEvent::Ended, 30),
        ] {
            loading.on(&event, at(second));
        }
        assert_eq!(loading.took(), Some(Duration::from_secs(5)));
    }
}
