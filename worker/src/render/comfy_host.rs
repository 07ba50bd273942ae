//! ComfyUI's health, and whose work it holds.

use std::{
    io::ErrorKind,
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use model::{RunId, TeamId};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task::spawn_blocking,
    time::sleep,
};

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

    /// Makes ComfyUI serve a team. Before another team's task it ends what still runs, and forgets results, history and models of
    /// the last one.
    ///
    /// ComfyUI has no call that deletes files. What it wrote and was given lies in folders that are named by a random id
    /// and that graphs cannot list. Where those are the worker's they are emptied, and ComfyUI is shown the models of this team
    /// only.
    pub(super) async fn serve(&self, team: &TeamId) -> Result<(), RenderError> {
        let mut serving = Arc::clone(&self.serving).lock_owned().await;
        let used = match mem::replace(&mut *serving, Serving::Between) {
            Serving::Team(now) if now == *team => {
                *serving = Serving::Team(now);
                return Ok(());
            }
            Serving::Nobody => match &self.storage {
                // A worker before this one has left a run of this team there that is to be gone on with.
                Some(storage) if storage.shows(team) => {
                    *serving = Serving::Team(team.clone());
                    return Ok(());
                }
                // Or one of another team.
                Some(storage) => storage.shows_a_team(),
                None => false,
            },
            Serving::Team(_) | Serving::Between => true,
        };
        if used {
            tracing::info!(%team, "clearing what the last team left");
            if self.storage.is_some()
                && !self.comfy.queue().await?.is_empty()
                && comfy::halt(&self.comfy, None, &self.timing).await == Halted::Stuck
            {
                return Err(RenderError::Occupied);
            }
            self.comfy.clear().await?;
            self.status.unloaded();
        }
        let Some(storage) = &self.storage else {
            *serving = Serving::Team(team.clone());
            return Ok(());
        };
        match hand_over(storage, team, serving).await {
            Err(RenderError::Storage(error))
                if self.restart.is_some()
                    && matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound) =>
            {
                // A node can make a folder that the worker may not open, and ComfyUI takes its own away when it ends. Our image
                // empties them all when ComfyUI starts. What else is wrong with a disk a restart does not mend.
                tracing::warn!(error = chain(&error), "its folders cannot be emptied");
                self.mark_sick().await;
                self.wait_until_it_answers().await;
                hand_over(storage, team, Arc::clone(&self.serving).lock_owned().await).await
            }
            handed_over => handed_over,
        }
    }

    /// Shows ComfyUI what everybody may see, and this team, unless it is shown a team's already: what the warm-up needs is among it.
    pub(super) async fn open(&self, team: Option<TeamId>) {
        let Some(storage) = self.storage.clone() else {
            return;
        };
        let serving = Arc::clone(&self.serving).lock_owned().await;
        let shown = spawn_blocking(move || {
            let shown = if storage.is_open() {
                Ok(())
            } else {
                storage.show(team.as_ref())
            };
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

    /// Ends what is in the way of a warm-up that took too long, as what a worker before this one has left; true if ComfyUI does not
    /// obey. Nobody goes on with it: no run is claimed before the warm-up has ended.
    pub(super) async fn is_occupied(&self) -> bool {
        // Who does not answer is found out by whoever tries again.
        if !self.comfy.queue().await.is_ok_and(|queue| !queue.is_empty()) {
            return false;
        }
        tracing::warn!("something else keeps ComfyUI from its warm-up; ending it");
        comfy::halt(&self.comfy, None, &self.timing).await == Halted::Stuck
    }

    /// Ends a run in ComfyUI; true if ComfyUI does not obey.
    pub(super) async fn halt(&self, run: RunId) -> bool {
        let stuck = comfy::halt(&self.comfy, Some(run), &self.timing).await == Halted::Stuck;
        if stuck {
            tracing::error!(run.id = %run, "ComfyUI does not end the run");
        }
        stuck
    }
}

/// Empties ComfyUI's folders and shows it a team's models. What works on the folders goes on, and holds the lock, when the run is
/// stopped.
async fn hand_over(storage: &Storage, team: &TeamId, mut serving: OwnedMutexGuard<Serving>) -> Result<(), RenderError> {
    let (storage, team) = (storage.clone(), team.clone());
    let shown = spawn_blocking(move || {
        storage.empty()?;
        storage.show(Some(&team))?;
        *serving = Serving::Team(team);
        Ok(())
    });
    shown.await?.map_err(RenderError::Storage)
}
