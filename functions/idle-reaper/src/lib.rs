//! Scheduled: drains idle workers, looks again, and stops them.
//!
//! A claim and a drain are conditioned on the same item, so a worker that is stopped never holds a run.

use cloud::{
    Cloud, StoreError,
    http::chain,
    notify::tell_worker,
    runs::{RunError, move_worker},
    tables::AllPools,
};
use fleet::{Fleet, scale::Loaded};
use model::{Millis, PoolId, Settings, WorkerState, socket::ServerMessage};
use policy::reap::{ReapAction, ReapStep, plan, step};
use tracing::{error, info};

/// What the handler needs.
#[derive(Debug)]
pub struct App {
    /// AWS.
    pub cloud: Cloud,
    /// EC2.
    pub fleet: Fleet,
    /// Durations and limits.
    pub settings: Settings,
}

/// The tick was not (wholly) handled; the next one makes it good.
#[derive(Debug, thiserror::Error)]
pub enum ReapError {
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A worker's transition.
    #[error(transparent)]
    Run(#[from] RunError),
    /// At least one pool could not be looked after; the others were.
    #[error("{0} pools could not be looked after")]
    Pools(usize),
}

impl App {
    /// Handles a tick.
    pub async fn handle(&self, now: Millis) -> Result<(), ReapError> {
        let pools = self
            .cloud
            .store
            .get(&AllPools)
            .await?
            .map(|names| names.pools)
            .unwrap_or_default();
        let mut failed = 0;
        for pool in pools {
            if let Err(problem) = self.reap(&pool, now).await {
                failed += 1;
                error!(pool = %pool, error = chain(&problem), "a pool could not be looked after");
            }
        }
        info!(pools.failed = failed, "tick");
        if failed == 0 {
            Ok(())
        } else {
            Err(ReapError::Pools(failed))
        }
    }

    async fn reap(&self, pool: &PoolId, now: Millis) -> Result<(), ReapError> {
        let Some(loaded) = Loaded::read(&self.cloud, pool).await? else {
            return Ok(());
        };
        let snapshot = loaded.snapshot(&self.settings, now);
        let steps = plan(&snapshot);
        if steps.is_empty() {
            return Ok(());
        }
        info!(pool = %pool, plan = serde_json::to_string(&steps).unwrap_or_default(), "reaping");
        for ReapStep { worker_id, action, .. } in steps {
            let to = match action {
                ReapAction::Drain => WorkerState::Draining,
                ReapAction::Undrain => WorkerState::Ready,
                ReapAction::Stop => WorkerState::Stopping,
            };
            // The index may lag: the step must still be right for the worker as it is.
            let wanted = |worker: &model::Worker| {
                worker.run.is_none() && step(worker, &snapshot).is_some_and(|step| step.action == action)
            };
            let Some(worker) = move_worker(&self.cloud, &worker_id, to, now, wanted).await? else {
                continue;
            };
            match action {
                ReapAction::Drain => {
                    tell_worker(&self.cloud, &worker, &ServerMessage::Drain).await;
                }
                ReapAction::Undrain => {
                    tell_worker(&self.cloud, &worker, &ServerMessage::Wake { task_id: None }).await;
                }
                ReapAction::Stop => {
                    if let Some(instance) = &worker.instance_id
                        && let Err(problem) = self.fleet.stop(instance).await
                    {
                        // `lifecycle` sees a stopping worker whose instance runs, and stops it again.
                        error!(worker.id = %worker_id, error = chain(&problem), "the instance was not stopped");
                    }
                }
            }
        }
        Ok(())
    }
}
