//! Scheduled: drains idle workers, looks again, and stops them.
//!
//! A claim and a drain are conditioned on the same item, so a worker that is stopped never holds a run.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use cloud::{Cloud, StoreError, chain, metrics, tables::AllPools};
use fleet::{Fleet, FleetError, scale::Loaded};
use futures_util::{StreamExt, stream};
use model::{Millis, PoolId, Settings, WorkerState, metrics::TICK_TIME, socket::ServerMessage};
use policy::reap::{ReapAction, ReapStep, plan, step};
use tasks::{
    notify::tell_worker,
    runs::{RunError, move_worker},
};
use tracing::{error, info};

/// Most pools looked after at once: what waits for AWS costs nothing, and the tables' limits are far.
const AT_ONCE: usize = 4;

/// What a tick came to: one line of the log.
#[derive(Debug, Default)]
struct Report {
    pools: usize,
    failed: usize,
    drained: usize,
    undrained: usize,
    stopped: usize,
}

impl Report {
    fn take(&mut self, done: &[ReapAction]) {
        for action in done {
            match action {
                ReapAction::Drain => self.drained += 1,
                ReapAction::Undrain => self.undrained += 1,
                ReapAction::Stop => self.stopped += 1,
            }
        }
    }

    fn log(&self, took: Duration) {
        info!(
            pools = self.pools,
            pools.failed = self.failed,
            workers.drained = self.drained,
            workers.undrained = self.undrained,
            workers.stopped = self.stopped,
            duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "tick"
        );
    }
}

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
    /// EC2.
    #[error(transparent)]
    Fleet(#[from] FleetError),
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
        let started = Instant::now();
        let named = self.cloud.store.get(&AllPools).await;
        let pools = match &named {
            Ok(names) => names.as_ref().map(|names| names.pools.clone()).unwrap_or_default(),
            Err(problem) => {
                // What runs costs money: the machines themselves say which pools they are of.
                error!(error = chain(problem), "the list of pools could not be read");
                let running = self.fleet.describe().await?.into_iter().map(|it| it.pool);
                running.collect::<BTreeSet<_>>().into_iter().collect()
            }
        };
        let mut report = Report {
            pools: pools.len(),
            ..Report::default()
        };
        let looks = pools.into_iter().map(async |pool| {
            let mut done = Vec::new();
            let result = self.reap(&pool, &mut done, now).await;
            (pool, done, result)
        });
        let mut looks = stream::iter(looks).buffer_unordered(AT_ONCE);
        while let Some((pool, done, result)) = looks.next().await {
            report.take(&done);
            if let Err(problem) = result {
                report.failed += 1;
                error!(pool = %pool, error = chain(&problem), "a pool could not be looked after");
            }
        }
        report.log(started.elapsed());
        metrics::note(
            [TICK_TIME.sample(["idle-reaper"], started.elapsed().as_secs_f64() * 1000.0)],
            &[],
        );
        named?;
        if report.failed == 0 {
            Ok(())
        } else {
            Err(ReapError::Pools(report.failed))
        }
    }

    /// `done`: the steps that were taken.
    async fn reap(&self, pool: &PoolId, done: &mut Vec<ReapAction>, now: Millis) -> Result<(), ReapError> {
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
                (worker.run.is_none() || worker.dismissed.is_some())
                    && step(worker, &snapshot).is_some_and(|step| step.action == action)
            };
            let Some(worker) = move_worker(&self.cloud, &worker_id, to, now, wanted).await? else {
                continue;
            };
            done.push(action);
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
