//! One run, from its assignment to the API's answer to its result.

use std::sync::Arc;

use model::{RunId, worker_api::Assignment};
use tokio::{sync::watch, time::Instant};

use super::{brake::Brake, renderer::Renderer, stop::Stop};
use crate::{config::millis, error::chain, event::Finished};

impl Renderer {
    /// Does a run and reports it.
    pub(crate) async fn render(&self, run: Assignment, stop: watch::Receiver<Option<Stop>>) -> Finished {
        let mut brake = Brake {
            stop,
            deadline: Instant::now() + millis(run.limit_ms),
        };
        tracing::info!(task.id = %run.task_id, run.id = %run.run_id, team = %run.team, "run begins");
        let made = self.make(&run, &mut brake).await;
        let sick = matches!(&made, Err(error) if error.comfy_is_sick());
        if sick {
            self.host.mark_sick().await;
        }
        let next = match made {
            Ok(result) => {
                self.host.works();
                let times = result.times;
                tracing::info!(
                    task.id = %run.task_id, run.id = %run.run_id,
                    fetch_ms = times.fetch, execute_ms = times.execute, upload_ms = times.upload,
                    pictures = result.offsets.len(), bytes = result.size, "run done"
                );
                self.report_result(&result, &mut brake).await
            }
            Err(error) => {
                tracing::warn!(
                    task.id = %run.task_id, run.id = %run.run_id, error = chain(&error),
                    "run ended without a result"
                );
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
    fn forget(&self, run: RunId) {
        let host = Arc::clone(&self.host);
        tokio::spawn(async move {
            if let Err(error) = host.comfy.forget(run).await {
                tracing::debug!(run.id = %run, error = chain(&error), "the run stays in ComfyUI's history");
            }
        });
    }
}
