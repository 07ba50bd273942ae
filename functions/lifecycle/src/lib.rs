//! EC2 events and the minute tick: converges instances, expires tasks, requeues lost runs, scales.
//!
//! An EC2 event only says which instance to look at. The tick looks at everything, so whatever was lost on the way is
//! made good within a minute.

use std::collections::BTreeMap;

use cloud::{
    Cloud, StoreError,
    http::chain,
    runs::{RunError, cancel, lose_run},
    tables::AllPools,
};
use fleet::{
    Fleet, FleetError, Instance,
    converge::{converge_all, converge_one},
    scale::{Loaded, ScaleError, scale},
};
use model::{InstanceId, Millis, PoolId, Settings, TaskId};
use policy::watch::{expiry, run_lost};
use serde_json::Value;
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

/// The whole event is tried again.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// EC2.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// A step for one pool or instance.
    #[error(transparent)]
    Scale(#[from] ScaleError),
    /// At least one pool could not be looked after; the others were.
    #[error("{0} pools could not be looked after")]
    Pools(usize),
}

impl App {
    /// Handles an EC2 event or a tick.
    pub async fn handle(&self, event: &Value, now: Millis) -> Result<(), LifecycleError> {
        match event.pointer("/detail/instance-id").and_then(Value::as_str) {
            Some(instance) => self.instance_changed(&InstanceId::new(instance), now).await,
            None => self.tick(now).await,
        }
    }

    async fn instance_changed(&self, id: &InstanceId, now: Millis) -> Result<(), LifecycleError> {
        let Some(instance) = self.fleet.describe_one(id).await? else {
            info!(instance.id = %id, "an instance of somebody else's");
            return Ok(());
        };
        let (pool, worker) = (instance.pool.clone(), instance.worker_id.clone());
        // Gone or stopped with work waiting: another start may be due.
        converge_one(&self.cloud, &self.fleet, &self.settings, &worker, &[&instance], now).await?;
        Ok(scale(&self.cloud, &self.fleet, &self.settings, &pool, now).await?)
    }

    async fn tick(&self, now: Millis) -> Result<(), LifecycleError> {
        let pools = self
            .cloud
            .store
            .get(&AllPools)
            .await?
            .map(|names| names.pools)
            .unwrap_or_default();
        let mut by_pool: BTreeMap<PoolId, Vec<Instance>> = BTreeMap::new();
        for instance in self.fleet.describe().await? {
            by_pool.entry(instance.pool.clone()).or_default().push(instance);
        }
        let mut failed = 0;
        for pool in pools {
            let instances = by_pool.remove(&pool).unwrap_or_default();
            if let Err(problem) = self.look_after(&pool, &instances, now).await {
                failed += 1;
                error!(pool = %pool, error = chain(&problem), "a pool could not be looked after");
            }
        }
        info!(pools.failed = failed, "tick");
        if failed == 0 {
            Ok(())
        } else {
            Err(LifecycleError::Pools(failed))
        }
    }

    async fn look_after(&self, pool: &PoolId, instances: &[Instance], now: Millis) -> Result<(), LifecycleError> {
        let Some(loaded) = Loaded::read(&self.cloud, pool).await? else {
            return Ok(());
        };
        converge_all(
            &self.cloud,
            &self.fleet,
            &self.settings,
            &loaded.workers,
            instances,
            now,
        )
        .await?;
        for worker in &loaded.workers {
            if let Some(run) = worker.run {
                self.watch(run.task_id, now).await?;
            }
        }
        for entry in &loaded.backlog {
            let unseen = now.since(entry.seen_at) >= self.settings.owner_gone;
            if unseen || entry.expires_at <= now {
                self.watch(entry.task_id, now).await?;
            }
        }
        Ok(scale(&self.cloud, &self.fleet, &self.settings, pool, now).await?)
    }

    /// Requeues the task's run if it is lost; ends the task if its time is over.
    async fn watch(&self, id: TaskId, now: Millis) -> Result<(), LifecycleError> {
        let Some(task) = self.cloud.store.get(&id).await? else {
            return Ok(());
        };
        let step = async {
            if let Some(run) = &task.run
                && run_lost(&task, &self.settings, now)
            {
                lose_run(
                    &self.cloud,
                    id,
                    run.run_id,
                    "The machine that rendered it fell silent.",
                    now,
                )
                .await?;
            } else if let Some(cause) = expiry(&task, &self.settings, now) {
                cancel(&self.cloud, id, cause, now).await?;
            }
            Ok::<_, RunError>(())
        };
        Ok(step.await.map_err(ScaleError::from)?)
    }
}
