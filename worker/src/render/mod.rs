//! One run, from its assignment to the API's answer to its result.

mod error;
mod host;
mod loras;
mod report;
mod steps;

use std::sync::Arc;

use model::{RunId, worker_api::Assignment};
use tokio::{
    sync::{Mutex, watch},
    time::Instant,
};

use crate::{
    cloud_api::CloudApi,
    comfy::{self, Comfy, Halted},
    config::{Timing, millis},
    error::chain,
    loras::Shelf,
    status::StatusBoard,
};
use error::RunError;
pub(crate) use host::{Host, Serving};

/// Why a run must end before its pictures are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Nobody wants it any more.
    Canceled,
    /// It is somebody else's: nothing is to be said about it.
    Lost,
    /// This worker is told to stop.
    Leaving,
}

/// A run is over.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) run_id: RunId,
    /// What to render next, if the API has said so.
    pub(crate) next: Option<Box<Assignment>>,
    /// ComfyUI has died or hangs.
    pub(crate) sick: bool,
}

/// Renders one run at a time.
#[derive(Debug)]
pub(crate) struct Renderer {
    pub(crate) http: reqwest::Client,
    pub(crate) api: Arc<CloudApi>,
    pub(crate) comfy: Arc<Comfy>,
    pub(crate) status: StatusBoard,
    pub(crate) host: Host,
    /// Where uploaded LoRAs are kept, if anywhere.
    pub(crate) loras: Option<Arc<Shelf>>,
    pub(crate) timing: Timing,
    /// Whose pictures ComfyUI may still hold.
    pub(crate) serving: Mutex<Serving>,
}

impl Renderer {
    /// Does a run and reports it.
    pub(crate) async fn render(self: Arc<Self>, run: Assignment, stop: watch::Receiver<Option<Stop>>) -> Finished {
        let mut brake = Brake {
            stop,
            deadline: Instant::now() + millis(run.limit_ms),
        };
        tracing::info!(task = %run.task_id, run = %run.run_id, team = %run.team, "run begins");
        let made = self.make(&run, &mut brake).await;
        let sick = matches!(&made, Err(error) if error.comfy_is_sick());
        if sick {
            self.mark_sick().await;
        }
        let next = match made {
            Ok(result) => {
                let times = result.times;
                tracing::info!(
                    run = %run.run_id, fetch_ms = times.fetch, execute_ms = times.execute, upload_ms = times.upload,
                    pictures = result.offsets.len(), bytes = result.size, "run done"
                );
                self.report_result(&result, &mut brake).await
            }
            Err(error) => {
                tracing::warn!(run = %run.run_id, error = chain(&error), "run ended without a result");
                self.report_failure(&run, &error, &mut brake).await
            }
        };
        self.status.end();
        self.forget(run.run_id);
        Finished {
            run_id: run.run_id,
            next: next.map(Box::new),
            sick,
        }
    }

    /// ComfyUI keeps a history in memory; nobody waits for it to be shortened.
    fn forget(self: &Arc<Self>, run: RunId) {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = this.comfy.forget(run).await {
                tracing::debug!(%run, error = chain(&error), "the run stays in ComfyUI's history");
            }
        });
    }

    /// Ends a run in ComfyUI; true if ComfyUI does not obey.
    async fn halt(&self, run: RunId) -> bool {
        let stuck = comfy::halt(&self.comfy, run, &self.timing).await == Halted::Stuck;
        if stuck {
            tracing::error!(%run, "ComfyUI does not end the run");
        }
        stuck
    }
}

/// Everything that can end a run early.
#[derive(Debug)]
struct Brake {
    stop: watch::Receiver<Option<Stop>>,
    deadline: Instant,
}

impl Brake {
    /// Resolves when the run must end.
    async fn pulled(&mut self) -> RunError {
        tokio::select! {
            stop = Self::asked(&mut self.stop) => RunError::Stopped { stop, stuck: false },
            () = tokio::time::sleep_until(self.deadline) => RunError::TooLong { stuck: false },
        }
    }

    async fn asked(stop: &mut watch::Receiver<Option<Stop>>) -> Stop {
        loop {
            if let Some(stop) = *stop.borrow_and_update() {
                return stop;
            }
            if stop.changed().await.is_err() {
                // The agent is gone, and this task with it.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Lets something happen unless the run must end first.
    async fn guard<T, E: Into<RunError>>(&mut self, work: impl Future<Output = Result<T, E>>) -> Result<T, RunError> {
        tokio::select! {
            biased;
            error = self.pulled() => Err(error),
            done = work => done.map_err(Into::into),
        }
    }
}
