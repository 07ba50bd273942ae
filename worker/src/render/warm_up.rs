//! The first run on a ComfyUI, which loads what most pictures need.

use model::RunId;
use serde_json::{Map, Value};
use tokio::time::timeout;
use uuid::Uuid;
use workflow::{OPTIONAL_NODES, Plan};

use super::{comfy_host::ComfyHost, error::RenderError};
use crate::{
    backoff::{Backoff, random},
    comfy::{self, ComfyError, Ending, Listener},
    error::chain,
};

impl ComfyHost {
    /// Waits until ComfyUI answers and has run the warm-up plan, for as long as it takes.
    pub(crate) async fn warm_up(&self, plan: Option<&Value>) {
        let mut backoff = Backoff::new(self.timing.retry);
        loop {
            self.wait_until_it_answers().await;
            if let Err(error) = self.look_at_nodes().await {
                tracing::warn!(
                    error = chain(&error),
                    "ComfyUI does not describe its nodes; trying again"
                );
                backoff.wait().await;
                continue;
            }
            let Some(plan) = plan else { return };
            match self.run_warm_up(plan).await {
                Ok(models) => {
                    self.status.loaded(&models);
                    tracing::info!("warm");
                    return;
                }
                // A slow first picture is better than none.
                Err(
                    error @ (RenderError::Plan(_) | RenderError::Bind(_) | RenderError::Comfy(ComfyError::Rejected(_))),
                ) => {
                    tracing::error!(error = chain(&error), "the warm-up cannot be run here; going on cold");
                    return;
                }
                Err(error) => {
                    tracing::warn!(error = chain(&error), "the warm-up failed; trying again");
                    if error.comfy_is_sick() {
                        self.mark_sick().await;
                    }
                }
            }
            backoff.wait().await;
        }
    }

    /// Finds out which nodes of custom packs ComfyUI has. They can be others after a restart.
    async fn look_at_nodes(&self) -> Result<(), ComfyError> {
        let mut found = Vec::new();
        for node in &OPTIONAL_NODES {
            if self.comfy.has_node(node).await? {
                found.push(node.class.to_owned());
            }
        }
        tracing::info!(?found, "nodes of custom packs");
        self.status.has_nodes(found);
        Ok(())
    }

    async fn run_warm_up(&self, plan: &Value) -> Result<Vec<String>, RenderError> {
        let plan: Plan = serde::Deserialize::deserialize(plan).map_err(RenderError::plan)?;
        let id = RunId::new(Uuid::now_v7());
        let mut graph = plan.bind(&[], &format!("tasks/{id}/out"))?.into_map();
        reseed(&mut graph);
        let mut listener = Listener::open(self.comfy.base()).await;
        comfy::submit(&self.comfy, id, &listener.client, &graph).await?;
        let followed = comfy::follow(&self.comfy, id, &mut listener, &self.timing, |_| ());
        let ending = match timeout(self.timing.warm_up_limit, followed).await {
            Ok(ending) => ending?,
            Err(_) => {
                return Err(RenderError::TooLong {
                    stuck: self.halt(id).await,
                });
            }
        };
        self.comfy.forget(id).await?;
        match ending {
            Ending::Done(_) => Ok(plan.models),
            Ending::Failed(failure) => Err(RenderError::Graph(failure)),
            Ending::Interrupted => Err(RenderError::Interrupted),
        }
    }
}

/// A fresh seed in every node that has one: ComfyUI does not run again what it has seen.
fn reseed(graph: &mut Map<String, Value>) {
    for node in graph.values_mut() {
        for (name, input) in node
            .get_mut("inputs")
            .and_then(Value::as_object_mut)
            .into_iter()
            .flatten()
        {
            if input.is_number() && matches!(name.as_str(), "noise_seed" | "seed") {
                *input = (random() >> 12).into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_numbers_are_seeds() {
        let mut graph = json!({
            "1": {"class_type": "RandomNoise", "inputs": {"noise_seed": 7}},
            "2": {"class_type": "KSampler", "inputs": {"seed": ["1", 0], "steps": 3}}
        });
        let before = graph.clone();
        reseed(graph.as_object_mut().unwrap());
        assert_ne!(graph["1"], before["1"]);
        assert_eq!(graph["2"], before["2"]);
    }
}
