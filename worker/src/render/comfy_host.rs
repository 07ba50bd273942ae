//! ComfyUI's health, and whose work it holds.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use model::{RunId, TeamId};
use tokio::{sync::Mutex, task::spawn_blocking, time::sleep};

use super::error::RenderError;
use crate::{
    comfy::{self, Comfy, ComfyError, Halted},
    config::Timing,
    error::chain,
    host::{self, Boot, Storage},
    status::StatusBoard,
};

/// The ComfyUI of this host.
#[derive(Debug)]
pub(crate) struct ComfyHost {
    pub(super) comfy: Comfy,
    pub(super) status: StatusBoard,
    pub(super) timing: Timing,
    /// How it is restarted, if it may be.
    restart: Option<String>,
    /// Its folders, where they are the worker's.
    storage: Option<Storage>,
    pub(crate) boot: Boot,
    /// ComfyUI must be restarted before it is used again. Held locked while that is done.
    sick: Mutex<bool>,
    /// It was sick: before anybody relies on it again it must show that it works.
    doubtful: AtomicBool,
    /// Whose pictures ComfyUI may still hold.
    serving: Arc<Mutex<Serving>>,
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
    pub(crate) fn new(
        comfy: Comfy,
        restart: Option<String>,
        storage: Option<Storage>,
        timing: Timing,
        status: StatusBoard,
    ) -> Self {
        Self {
            comfy,
            status,
            timing,
            restart,
            storage,
            boot: Boot::new(),
            sick: Mutex::default(),
            doubtful: AtomicBool::new(false),
            serving: Arc::default(),
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

    /// Notes when ComfyUI answers for the first time, which may be before the worker is registered.
    pub(crate) async fn await_first_answer(&self) {
        self.wait_until_it_answers().await;
        self.boot.comfy_answers();
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
        if let Some(command) = &self.restart {
            tracing::warn!("restarting ComfyUI");
            host::run(command).await;
        }
        *sick = false;
    }

    /// Makes ComfyUI serve a team. Before another team's task it forgets results, history and models of the last one.
    ///
    /// ComfyUI has no call that deletes files. What it wrote and was given lies in folders that are named by a random id
    /// and that graphs cannot list. Where those are the worker's they are emptied, and ComfyUI is shown the models of this team
    /// only.
    pub(super) async fn serve(&self, team: &TeamId) -> Result<(), RenderError> {
        // Held by what works on the folders, which goes on when this run is stopped.
        let mut serving = Arc::clone(&self.serving).lock_owned().await;
        match mem::replace(&mut *serving, Serving::Between) {
            Serving::Team(now) if now == *team => {
                *serving = Serving::Team(now);
                return Ok(());
            }
            // A worker before this one may have used it, and left a run of this team there that is to be gone on with.
            Serving::Nobody => match &self.storage {
                Some(storage) if storage.shows(team) => {
                    *serving = Serving::Team(team.clone());
                    return Ok(());
                }
                Some(_) => self.comfy.clear_history().await?,
                None => {}
            },
            Serving::Team(_) | Serving::Between => {
                tracing::info!(%team, "clearing what the last team left");
                self.comfy.clear().await?;
                self.status.unloaded();
            }
        }
        if let Some(storage) = self.storage.clone() {
            let team = team.clone();
            let shown = spawn_blocking(move || {
                storage.empty()?;
                storage.show(Some(&team))?;
                *serving = Serving::Team(team);
                Ok(())
            });
            return shown.await?.map_err(RenderError::Storage);
        }
        *serving = Serving::Team(team.clone());
        Ok(())
    }

    /// Shows ComfyUI what everybody may see, unless it is shown a team's already: what the warm-up needs is among it.
    pub(super) async fn open(&self) {
        let Some(storage) = self.storage.clone() else {
            return;
        };
        let serving = Arc::clone(&self.serving).lock_owned().await;
        let shown = spawn_blocking(move || {
            let shown = if storage.is_open() { Ok(()) } else { storage.show(None) };
            drop(serving);
            shown
        });
        if let Ok(Err(error)) = shown.await {
            tracing::error!(error = chain(&error), "ComfyUI cannot be shown its models");
        }
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
