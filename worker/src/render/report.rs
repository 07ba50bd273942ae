//! Telling the API how a run ended: again and again until it answers, since saying it twice does no harm.

use model::{
    Blame, RunId,
    worker_api::{Assignment, RunEnded, RunFailure, RunResult},
};

use super::{
    brake::Brake,
    error::{RenderError, Told},
    renderer::Renderer,
};
use crate::{backoff::Backoff, control_plane::CloudError, error::chain};

impl Renderer {
    /// Reports a result; gives the next run.
    pub(super) async fn report_result(&self, result: &RunResult, brake: &mut Brake) -> Option<Assignment> {
        self.told(brake, Report::Result(result)).await
    }

    /// Reports a failure, if there is something to say; gives the next run.
    pub(super) async fn report_failure(
        &self,
        run: &Assignment,
        error: &RenderError,
        brake: &mut Brake,
    ) -> Option<Assignment> {
        let (class, message, blame) = match error.told()? {
            Told::Canceled => (None, "The picture was canceled.".to_owned(), Blame::Unknown),
            Told::Failed(failure) => (Some(failure.class), failure.message, failure.blame),
        };
        let failure = RunFailure {
            run_id: run.run_id,
            task_id: run.task_id,
            class,
            message,
            blame,
        };
        self.told(brake, Report::Failure(&failure)).await
    }

    async fn tell(&self, report: Report<'_>) -> Result<RunEnded, CloudError> {
        match report {
            Report::Result(result) => self.api.result(result).await,
            Report::Failure(failure) => self.api.failure(failure).await,
        }
    }

    async fn told(&self, brake: &mut Brake, report: Report<'_>) -> Option<Assignment> {
        let mut backoff = Backoff::new(self.timing.retry);
        loop {
            // Never cut off: once the API has taken the report, only its answer says what comes next.
            let error = match self.tell(report).await {
                Ok(RunEnded { accepted, assignment }) => {
                    if !accepted {
                        tracing::info!(run.id = %report.run_id(), "the API has dropped the run");
                    }
                    return assignment;
                }
                Err(error) => error,
            };
            if !error.is_retryable() {
                tracing::error!(run.id = %report.run_id(), error = chain(&error), "the API refuses the run's report");
                return None;
            }
            tracing::warn!(
                run.id = %report.run_id(), error = chain(&error),
                "the run's report was not answered; trying again"
            );
            tokio::select! {
                () = backoff.wait() => {}
                () = brake.lost() => return None,
            }
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy)]
enum Report<'a> {
    Result(&'a RunResult),
    Failure(&'a RunFailure),
}

impl Report<'_> {
    fn run_id(&self) -> RunId {
        match self {
            Self::Result(result) => result.run_id,
            Self::Failure(failure) => failure.run_id,
        }
    }
}
