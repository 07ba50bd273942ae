//! What can end a run early.

use tokio::{sync::watch, time::Instant};

use super::{error::RenderError, stop::Stop};

/// Everything that can end a run early.
#[derive(Debug)]
pub(super) struct Brake {
    pub(super) stop: watch::Receiver<Option<Stop>>,
    pub(super) deadline: Instant,
}

impl Brake {
    /// Resolves when the run must end.
    pub(super) async fn pulled(&mut self) -> RenderError {
        tokio::select! {
            stop = Self::asked(&mut self.stop) => RenderError::Stopped { stop, stuck: false },
            () = tokio::time::sleep_until(self.deadline) => RenderError::TooLong { stuck: false },
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
    pub(super) async fn guard<T, E: Into<RenderError>>(
        &mut self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, RenderError> {
        tokio::select! {
            biased;
            error = self.pulled() => Err(error),
            done = work => done.map_err(Into::into),
        }
    }

    /// Resolves when the run is somebody else's. Other reasons to stop come too late for a run that has ended.
    pub(super) async fn lost(&mut self) {
        // Cannot fail before the agent is gone.
        if self.stop.wait_for(|stop| *stop == Some(Stop::Lost)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
