//! ComfyUI's health, and whose work it holds.

use std::{
    collections::BTreeMap,
    mem,
    sync::atomic::{AtomicBool, Ordering},
};

use model::{RunId, TeamId};
use tokio::{sync::Mutex, time::sleep};

use super::error::RenderError;
use crate::{
    comfy::{self, Comfy, ComfyError, Halted},
    config::Timing,
    error::chain,
    host,
    status::StatusBoard,
};

/// An operator's commands about ComfyUI.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    pub(crate) restart: Option<String>,
    /// Shows ComfyUI the files of a team.
    pub(crate) team: Option<String>,
}

/// The ComfyUI of this host.
#[derive(Debug)]
pub(crate) struct ComfyHost {
    pub(super) comfy: Comfy,
    pub(super) status: StatusBoard,
    pub(super) timing: Timing,
    commands: Commands,
    /// ComfyUI must be restarted before it is used again. Held locked while that is done.
    sick: Mutex<bool>,
    /// It was sick: before anybody relies on it again it must show that it works.
    doubtful: AtomicBool,
    /// Whose pictures ComfyUI may still hold.
    serving: Mutex<Serving>,
}

/// Whose ComfyUI it is.
#[derive(Debug, Default)]
enum Serving {
    /// Nobody has used it.
    #[default]
    Nobody,
    /// One team's leavings may be there, another's may already be set up.
    Between,
    /// This team's.
    Team(TeamId),
}

impl ComfyHost {
    pub(crate) fn new(comfy: Comfy, commands: Commands, timing: Timing, status: StatusBoard) -> Self {
        Self {
            comfy,
            status,
            timing,
            commands,
            sick: Mutex::default(),
            doubtful: AtomicBool::new(false),
            serving: Mutex::default(),
        }
    }

    /// ComfyUI has died or hangs; it will be restarted before it is used again.
    pub(crate) async fn mark_sick(&self) {
        *self.sick.lock().await = true;
        self.doubtful.store(true, Ordering::Relaxed);
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
    pub(super) async fn wait_until_it_answers(&self) {
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
        let mut sick = self.sick.lock().await;
        if !*sick {
            return;
        }
        self.comfy.forget_server().await;
        if let Some(command) = &self.commands.restart {
            tracing::warn!("restarting ComfyUI");
            host::run(command, BTreeMap::new()).await;
        }
        *sick = false;
    }

    /// Makes ComfyUI serve a team. Before another team's task it forgets results, history and models of the last one.
    ///
    /// ComfyUI has no call that deletes files. What it wrote and was given lies in folders that are named by a random id
    /// and that graphs cannot list; emptying them, and showing ComfyUI the models of this team only, is up to the machine
    /// image: it names a command for that, which runs here.
    pub(super) async fn serve(&self, team: &TeamId) -> Result<(), RenderError> {
        let mut serving = self.serving.lock().await;
        match mem::replace(&mut *serving, Serving::Between) {
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
        if let Some(command) = &self.commands.team
            && !host::run(command, BTreeMap::from([("ATELIER_TEAM", team.as_str())])).await
        {
            return Err(RenderError::Team);
        }
        *serving = Serving::Team(team.clone());
        Ok(())
    }

    /// Whether ComfyUI was sick and has not shown since that it works.
    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Relaxed)
    }

    /// ComfyUI has rendered something.
    pub(super) fn works(&self) {
        self.doubtful.store(false, Ordering::Relaxed);
        self.status.set_sick(None);
    }

    /// Ends a run in ComfyUI; true if ComfyUI does not obey.
    pub(super) async fn halt(&self, run: RunId) -> bool {
        let stuck = comfy::halt(&self.comfy, run, &self.timing).await == Halted::Stuck;
        if stuck {
            tracing::error!(run.id = %run, "ComfyUI does not end the run");
        }
        stuck
    }
}
