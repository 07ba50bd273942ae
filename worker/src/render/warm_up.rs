//! The first run on a ComfyUI, which loads what most pictures need.

use model::{RunId, TeamId};
use serde_json::{Map, Value, json};
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
    /// Waits until ComfyUI answers and has run the warm-up plan, for as long as it takes. Without a plan a ComfyUI that was
    /// sick runs a probe. What fails again and again is said: the machine is of no use. The plan's files may be those of a team.
    pub(super) async fn warm_up(&self, plan: Option<&Value>, team: Option<TeamId>) {
        let mut backoff = Backoff::new(self.timing.retry);
        let mut failed = 0;
        self.open(team).await;
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
            let ran = match plan {
                Some(plan) => self.run_warm_up(plan).await,
                None if self.is_doubtful() => self.run(|out| Ok(probe(out))).await.map(|()| Vec::new()),
                None => return,
            };
            match ran {
                Ok(models) => {
                    self.works();
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
                        failed += 1;
                    }
                    if failed >= SICK {
                        tracing::error!("ComfyUI does not come back to its senses; saying so");
                        self.status
                            .set_sick(Some("its ComfyUI fails at its warm-up again and again"));
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
        self.run(|out| {
            let mut graph = plan.bind(&[], out)?.into_map();
            reseed(&mut graph);
            Ok(graph)
        })
        .await?;
        Ok(plan.models)
    }

    /// Runs a graph whose pictures go below this prefix and are wanted by nobody.
    async fn run(
        &self,
        graph: impl FnOnce(&str) -> Result<Map<String, Value>, RenderError>,
    ) -> Result<(), RenderError> {
        let id = RunId::new(Uuid::now_v7());
        let graph = graph(&format!("tasks/{id}/out"))?;
        let mut listener = Listener::open(self.comfy.base(), None).await;
        comfy::submit(&self.comfy, id, &listener.client, &graph).await?;
        let followed = comfy::follow(&self.comfy, id, &mut listener, &self.timing, |_| ());
        let ending = match timeout(self.timing.warm_up_limit, followed).await {
            Ok(ending) => ending?,
            Err(_) => {
                return Err(RenderError::TooLong {
                    stuck: self.halt(id).await || self.is_occupied().await,
                });
            }
        };
        self.comfy.forget(id).await?;
        match ending {
            Ending::Done(_) => Ok(()),
            Ending::Failed(failure) => Err(RenderError::Graph(failure)),
            Ending::Interrupted => Err(RenderError::Interrupted),
        }
    }
}

/// So many failures in a row, each after a restart where that is possible, are the machine's.
const SICK: u32 = 3;

/// A graph of ComfyUI's own nodes alone that computes on the GPU: a small picture of a random colour, blurred.
fn probe(out: &str) -> Map<String, Value> {
    let node = |class: &str, inputs: Value| json!({ "class_type": class, "inputs": inputs });
    let color = random() >> 40;
    Map::from_iter([
        (
            "1".to_owned(),
            node(
                "EmptyImage",
                json!({ "width": 64, "height": 64, "batch_size": 1, "color": color }),
            ),
        ),
        (
            "2".to_owned(),
            node(
                "ImageBlur",
                json!({ "image": ["1", 0], "blur_radius": 2, "sigma": 1.0 }),
            ),
        ),
        (
            "3".to_owned(),
            node("SaveImage", json!({ "images": ["2", 0], "filename_prefix": out })),
        ),
    ])
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
