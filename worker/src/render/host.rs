//! ComfyUI's health, and whose work it holds.

use std::{collections::BTreeMap, time::Duration};

use model::{RunId, TeamId};
use serde_json::{Map, Value};
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};
use uuid::Uuid;
use workflow::{OPTIONAL_NODES, Plan};

use super::{Renderer, RunError};
use crate::{
    backoff::{Backoff, random},
    comfy::{self, ComfyError, Ending, Listener},
    dead_man::shell,
    error::chain,
};

/// An operator's commands for this host.
#[derive(Debug, Default)]
pub(crate) struct Host {
    pub(crate) restart_comfyui: Option<String>,
    pub(crate) team: Option<String>,
    /// ComfyUI must be restarted before it is used again. Held locked while that is done.
    pub(crate) sick: Mutex<bool>,
}

/// Whose ComfyUI it is.
#[derive(Debug, Default)]
pub(crate) enum Serving {
    /// Nobody has used it.
    #[default]
    Nobody,
    /// One team's leavings may be there, another's may already be set up.
    Between,
    /// This team's.
    Team(TeamId),
}

/// For a command that links a folder or restarts a service.
const COMMAND: Duration = Duration::from_mins(2);

impl Renderer {
    /// ComfyUI has died or hangs; it will be restarted before it is used again.
    pub(crate) async fn mark_sick(&self) {
        *self.host.sick.lock().await = true;
        self.status.unloaded();
    }

    /// Whether nobody answers where ComfyUI should be. A slow answer is an answer.
    pub(crate) async fn is_gone(&self) -> bool {
        matches!(
            self.comfy.queue().await,
            Err(ComfyError::Gone(_) | ComfyError::Status { .. })
        )
    }

    /// Restarts ComfyUI if it is sick and may be restarted, and waits until it answers.
    pub(crate) async fn wait_until_it_answers(&self) {
        let mut told = false;
        loop {
            self.restart_if_sick().await;
            match self.comfy.queue().await {
                Ok(_) => return,
                Err(error) if !told => {
                    tracing::info!(error = chain(&error), "waiting for ComfyUI");
                    told = true;
                }
                Err(_) => {}
            }
            sleep(self.timing.comfy_check).await;
        }
    }

    async fn restart_if_sick(&self) {
        let mut sick = self.host.sick.lock().await;
        if !*sick {
            return;
        }
        self.comfy.forget_server().await;
        if let Some(command) = &self.host.restart_comfyui {
            tracing::warn!("restarting ComfyUI");
            run_command(command, None).await;
        }
        *sick = false;
    }

    /// Makes ComfyUI serve a team. Before another team's task it forgets results, history and models of the last one.
    ///
    /// ComfyUI has no call that deletes files. What it wrote and was given lies in folders that are named by a random id
    /// and that graphs cannot list; emptying them, and showing ComfyUI the models of this team only, is up to the machine
    /// image: it names a command for that, which runs here.
    pub(super) async fn serve(&self, team: &TeamId) -> Result<(), RunError> {
        let mut serving = self.serving.lock().await;
        match std::mem::replace(&mut *serving, Serving::Between) {
            Serving::Team(now) if now == *team => {
                *serving = Serving::Team(now);
                return Ok(());
            }
            Serving::Nobody => {}
            Serving::Team(_) | Serving::Between => {
                tracing::info!(%team, "clearing what the last team left");
                self.comfy.clear().await?;
                self.status.unloaded();
            }
        }
        if let Some(command) = &self.host.team
            && !run_command(command, Some(team)).await
        {
            return Err(RunError::Team);
        }
        *serving = Serving::Team(team.clone());
        Ok(())
    }

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
                Err(error @ (RunError::Plan(_) | RunError::Bind(_) | RunError::Comfy(ComfyError::Rejected(_)))) => {
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

    async fn run_warm_up(&self, plan: &Value) -> Result<Vec<String>, RunError> {
        let plan: Plan = serde::Deserialize::deserialize(plan).map_err(RunError::plan)?;
        let id = RunId::new(Uuid::now_v7());
        let mut graph = plan.bind(&[], &format!("tasks/{id}/out"))?.into_map();
        reseed(&mut graph);
        let mut listener = Listener::open(self.comfy.base()).await;
        comfy::submit(&self.comfy, id, &listener.client, &graph).await?;
        let followed = comfy::follow(&self.comfy, id, &mut listener, &self.timing, |_| ());
        let ending = match timeout(self.timing.warm_up_limit, followed).await {
            Ok(ending) => ending?,
            Err(_) => {
                return Err(RunError::TooLong {
                    stuck: self.halt(id).await,
                });
            }
        };
        self.comfy.forget(id).await?;
        match ending {
            Ending::Done(_) => Ok(plan.models),
            Ending::Failed(failure) => Err(RunError::Graph(failure)),
            Ending::Interrupted => Err(RunError::Interrupted),
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

/// Runs an operator's command; whether it went well.
async fn run_command(command: &str, team: Option<&TeamId>) -> bool {
    let environment: BTreeMap<_, _> = team.iter().map(|team| ("ATELIER_TEAM", team.as_str())).collect();
    let ended = timeout(COMMAND, shell(command).envs(environment).status()).await;
    match ended {
        Ok(Ok(status)) if status.success() => return true,
        Ok(Ok(status)) => tracing::error!(%status, "a command of this host failed"),
        Ok(Err(error)) => tracing::error!(%error, "a command of this host could not be run"),
        Err(_) => tracing::error!("a command of this host takes too long"),
    }
    false
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
