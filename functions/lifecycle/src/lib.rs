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
use model::{InstanceId, Millis, PoolId, Settings, Task, TaskId};
use policy::watch::{expiry, may_expire, run_lost};
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

/// The event was not (wholly) handled; the next tick makes it good.
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
        let mut instances = vec![instance];
        // News about a second instance of the worker is none about the first.
        let known = self
            .cloud
            .store
            .get(&worker)
            .await?
            .and_then(|worker| worker.instance_id);
        if let Some(other) = known.filter(|known| known != id) {
            instances.extend(self.fleet.describe_one(&other).await?);
        }
        let instances: Vec<_> = instances.iter().collect();
        // Gone or stopped with work waiting: another start may be due.
        converge_one(&self.cloud, &self.fleet, &self.settings, &worker, &instances, now).await?;
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
        // Without EC2's word the tasks are looked after all the same.
        let described = self.fleet.describe().await;
        let mut by_pool: BTreeMap<PoolId, Vec<Instance>> = BTreeMap::new();
        for instance in described.as_deref().unwrap_or_default() {
            by_pool.entry(instance.pool.clone()).or_default().push(instance.clone());
        }
        let mut failed = 0;
        for pool in pools {
            let instances = by_pool.remove(&pool).unwrap_or_default();
            let instances = described.is_ok().then_some(instances.as_slice());
            if let Err(problem) = self.look_after(&pool, instances, now).await {
                failed += 1;
                error!(pool = %pool, error = chain(&problem), "a pool could not be looked after");
            }
        }
        // Instances of pools that nobody knows (any more).
        for (pool, instances) in by_pool {
            let step = converge_all(&self.cloud, &self.fleet, &self.settings, &[], &instances, now);
            if let Err(problem) = step.await {
                failed += 1;
                error!(pool = %pool, error = chain(&problem), "instances of an unknown pool could not be looked after");
            }
        }
        info!(pools.failed = failed, "tick");
        described?;
        if failed == 0 {
            Ok(())
        } else {
            Err(LifecycleError::Pools(failed))
        }
    }

    /// Converges, watches, scales: what fails keeps nothing else from being done, and comes back at the end.
    async fn look_after(
        &self,
        pool: &PoolId,
        instances: Option<&[Instance]>,
        now: Millis,
    ) -> Result<(), LifecycleError> {
        let Some(loaded) = Loaded::read(&self.cloud, pool).await? else {
            return Ok(());
        };
        let converged = match instances {
            Some(instances) => {
                let (cloud, fleet) = (&self.cloud, &self.fleet);
                converge_all(cloud, fleet, &self.settings, &loaded.workers, instances, now).await
            }
            None => Ok(()),
        };
        let running = loaded.workers.iter().filter_map(|worker| worker.run);
        let due = loaded
            .backlog
            .iter()
            .filter(|entry| may_expire(entry, &self.settings, now));
        let mut watched = Ok(());
        for task_id in running.map(|run| run.task_id).chain(due.map(|entry| entry.task_id)) {
            if let Err(problem) = self.watch(task_id, now).await {
                error!(task.id = %task_id, error = chain(&problem), "a task could not be looked after");
                watched = Err(problem);
            }
        }
        let scaled = scale(&self.cloud, &self.fleet, &self.settings, pool, now).await;
        converged?;
        watched?;
        Ok(scaled?)
    }

    /// Requeues the task's run if it is lost; ends the task if its time is over.
    async fn watch(&self, id: TaskId, now: Millis) -> Result<(), LifecycleError> {
        let Some(task) = self.cloud.store.get(&id).await? else {
            return Ok(());
        };
        // Each is decided again on the read that the change is committed on.
        let is_lost = |task: &Task| run_lost(task, &self.settings, now);
        let is_over = |task: &Task| expiry(task, &self.settings, now).is_some();
        let step = async {
            if let Some(run) = task.run.as_ref().filter(|_| is_lost(&task)) {
                let why = "The machine that rendered it fell silent.";
                lose_run(&self.cloud, id, run.run_id, why, now, is_lost).await?;
            } else if let Some(cause) = expiry(&task, &self.settings, now) {
                cancel(&self.cloud, id, cause, now, is_over).await?;
            }
            Ok::<_, RunError>(())
        };
        Ok(step.await.map_err(ScaleError::from)?)
    }
}
