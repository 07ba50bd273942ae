//! EC2 events and the minute tick: converges instances, expires tasks, requeues lost runs, scales, offers tasks again that are
//! over and have no record. S3 events: deletes uploads that are too large.
//!
//! An event only says which instance or object to look at. The tick looks at everything but uploads, so whatever was lost
//! on the way is made good within a minute; an upload that nobody looked at is gone after a day.

mod report;

use std::{collections::BTreeMap, time::Instant};

use cloud::{Cloud, StoreError, Write, bucket::BucketError, chain, metrics, tables::AllPools};
use fleet::{
    Fleet, FleetError, Instance,
    converge::{converge_all, converge_one},
    scale::{Loaded, ScaleError, scale},
};
use futures_util::{StreamExt, stream};
use model::{Canceled, InstanceId, Millis, PoolId, Presence, RunEnd, Settings, Task, TaskId, metrics::TICK_TIME};
use policy::{
    hazard, measure,
    watch::{expiry, may_expire, offers_records, run_lost},
};
use serde_json::Value;
use tasks::{
    archive,
    demand::next_hour,
    intake::UPLOADS,
    runs::{RunError, cancel, lose_run},
};
use tracing::{error, info, warn};

use report::TickReport;

/// Most pools looked after at once: what waits for AWS costs nothing, and the tables' limits are far.
const AT_ONCE: usize = 4;

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
    /// The bucket of pictures.
    #[error(transparent)]
    Bucket(#[from] BucketError),
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
        let detail = |pointer| event.pointer(pointer).and_then(Value::as_str);
        if let Some(instance) = detail("/detail/instance-id") {
            self.instance_changed(&InstanceId::new(instance), now).await
        } else if let Some(key) = detail("/detail/object/key") {
            self.uploaded(key).await
        } else {
            self.tick(now).await
        }
    }

    /// Deletes an upload that is larger than one may be. No request can have named it, and its address says no size that
    /// S3 would hold it to.
    async fn uploaded(&self, key: &str) -> Result<(), LifecycleError> {
        if !key.starts_with(UPLOADS) {
            return Ok(());
        }
        let bucket = &self.cloud.bucket;
        let stored = bucket.head(key).await?;
        if let Some(stored) = stored.filter(|stored| stored.size > self.settings.max_upload) {
            warn!(
                object.key = key,
                object.size = stored.size,
                "an upload that is too large is deleted"
            );
            bucket.delete(key).await?;
        }
        Ok(())
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
        scale(&self.cloud, &self.fleet, &self.settings, &pool, now).await?;
        Ok(())
    }

    async fn tick(&self, now: Millis) -> Result<(), LifecycleError> {
        let started = Instant::now();
        // Without them the pools of the machines that run are looked after all the same.
        let named = self.cloud.store.get(&AllPools).await;
        if let Err(problem) = &named {
            error!(error = chain(problem), "the list of pools could not be read");
        }
        let pools = match &named {
            Ok(Some(names)) => names.pools.clone(),
            Ok(None) | Err(_) => Vec::new(),
        };
        // Without EC2's word the tasks are looked after all the same.
        let described = self.fleet.describe().await;
        let mut by_pool: BTreeMap<PoolId, Vec<Instance>> = BTreeMap::new();
        for instance in described.as_deref().unwrap_or_default() {
            by_pool.entry(instance.pool.clone()).or_default().push(instance.clone());
        }
        let mut report = TickReport {
            pools: pools.len(),
            ..TickReport::default()
        };
        let mut due: Vec<_> = pools
            .into_iter()
            .map(|pool| {
                let instances = by_pool.remove(&pool).unwrap_or_default();
                (pool, described.is_ok().then_some(instances))
            })
            .collect();
        // Instances of pools that nobody knows (any more).
        due.extend(by_pool.into_iter().map(|(pool, instances)| (pool, Some(instances))));
        let looks = due.into_iter().map(async |(pool, instances)| {
            let mut of_pool = TickReport::default();
            if let Err(problem) = self.look_after(&pool, instances.as_deref(), &mut of_pool, now).await {
                of_pool.failed = 1;
                error!(pool = %pool, error = chain(&problem), "a pool could not be looked after");
            }
            of_pool
        });
        if let Err(problem) = accounts::hang_up_leaving(&self.cloud.store, &self.cloud.sockets, now).await {
            warn!(
                error = chain(&problem),
                "sockets of those who are out were not all looked for; the next tick goes on"
            );
        }
        let mut looks = stream::iter(looks).buffer_unordered(AT_ONCE);
        while let Some(of_pool) = looks.next().await {
            report += of_pool;
        }
        // A record may wait, and whatever keeps it from being written is no reason to look after nothing else.
        if offers_records(now) {
            match archive::offer(&self.cloud.store, now).await {
                Ok(offered) => report.offered = offered,
                Err(problem) => error!(error = chain(&problem), "tasks without a record were not offered again"),
            }
        }
        report.log(started.elapsed());
        metrics::note(
            [TICK_TIME.sample(["lifecycle"], started.elapsed().as_secs_f64() * 1000.0)],
            &[],
        );
        named?;
        described?;
        if report.failed == 0 {
            Ok(())
        } else {
            Err(LifecycleError::Pools(report.failed))
        }
    }

    /// Converges, watches, scales: what fails keeps nothing else from being done, and comes back at the end.
    async fn look_after(
        &self,
        pool: &PoolId,
        instances: Option<&[Instance]>,
        report: &mut TickReport,
        now: Millis,
    ) -> Result<(), LifecycleError> {
        let loaded = Loaded::read(&self.cloud, pool).await?;
        let workers = loaded.as_ref().map_or(&[][..], |loaded| &loaded.workers);
        let converged = match instances {
            Some(instances) => {
                let (cloud, fleet, corrected) = (&self.cloud, &self.fleet, &mut report.converged);
                converge_all(cloud, fleet, &self.settings, workers, instances, corrected, now).await
            }
            None => Ok(()),
        };
        let Some(loaded) = loaded else { return Ok(converged?) };
        metrics::note(measure::pool(&loaded.snapshot(&self.settings, now)), &[("pool", pool)]);
        let running = loaded.workers.iter().filter_map(|worker| worker.run);
        let due = loaded
            .backlog
            .iter()
            .filter(|entry| may_expire(entry, &self.settings, now));
        let mut watched = Ok(());
        for task_id in running.map(|run| run.task_id).chain(due.map(|entry| entry.task_id)) {
            if let Err(problem) = self.watch(task_id, report, now).await {
                error!(task.id = %task_id, error = chain(&problem), "a task could not be looked after");
                watched = Err(problem);
            }
        }
        self.hang_up_missed(&loaded.presence).await;
        self.believe(&loaded, now).await;
        self.learn(&loaded, now).await;
        let scaled = scale(&self.cloud, &self.fleet, &self.settings, pool, now).await;
        converged?;
        watched?;
        report.planned += usize::from(scaled?);
        Ok(())
    }

    /// Takes over what the forecast asks for, and settles its credit. Whoever changes the pool at the same time goes first:
    /// the next tick settles for this one.
    async fn believe(&self, loaded: &Loaded, now: Millis) {
        let pool = &loaded.pool;
        if pool.forecast.is_none() && self.settings.forecast_workers == 0 {
            return;
        }
        let hour = next_hour(&self.cloud.store, &pool.pool, now).await;
        let Some(forecast) = policy::forecast::looked(&loaded.snapshot(&self.settings, now), hour.as_ref()) else {
            return;
        };
        let mut pool = pool.clone();
        pool.forecast = Some(forecast);
        let write = match Write::put(&mut pool) {
            Ok(write) => self.cloud.store.commit([write]).await,
            Err(problem) => Err(problem),
        };
        if let Err(problem) = write {
            warn!(pool = %pool.pool, error = chain(&problem), "what the forecast asks for was not noted");
        }
    }

    /// Notes what the tick shows of painters' pauses. Losing one loses nothing else.
    async fn learn(&self, loaded: &Loaded, now: Millis) {
        let Some(mut learned) = hazard::observed(&loaded.snapshot(&self.settings, now)) else {
            return;
        };
        let noted = async { self.cloud.store.commit([Write::put(&mut learned)?]).await };
        match noted.await {
            // Another tick at the same time has seen the same.
            Ok(()) | Err(StoreError::Conflict) => {}
            Err(error) => warn!(pool = %learned.pool, error = chain(&error), "painters' pauses were not noted"),
        }
    }

    /// Hangs up on those who are out and whose sockets could not be closed then, among who was here lately.
    async fn hang_up_missed(&self, presence: &[Presence]) {
        let looks = presence.iter().map(async |stay| {
            let (store, sockets) = (&self.cloud.store, &self.cloud.sockets);
            if let Err(error) = accounts::hang_up_missed(store, sockets, &stay.user).await {
                warn!(user.id = %stay.user, error = chain(&error), "nobody looked whether they are out");
            }
        });
        stream::iter(looks).buffer_unordered(AT_ONCE).collect::<()>().await;
    }

    /// Requeues the task's run if it is lost; ends the task if its time is over.
    async fn watch(&self, id: TaskId, report: &mut TickReport, now: Millis) -> Result<(), LifecycleError> {
        let Some(task) = self.cloud.store.get_readable(&id).await? else {
            return Ok(());
        };
        // Each is decided again on the read that the change is committed on.
        let is_lost = |task: &Task| run_lost(task, &self.settings, now);
        let is_over = |task: &Task| expiry(task, &self.settings, now).is_some();
        let step = async {
            if let Some(run) = task.run.as_ref().filter(|_| is_lost(&task)) {
                let lost = lose_run(&self.cloud, id, run.run_id, now, is_lost).await?;
                report.requeued += usize::from(lost == Some(RunEnd::Requeued));
            } else if let Some(cause) = expiry(&task, &self.settings, now) {
                let (done, _) = cancel(&self.cloud, id, cause, now, is_over).await?;
                report.expired += usize::from(done != Canceled::Already);
            }
            Ok::<_, RunError>(())
        };
        Ok(step.await.map_err(ScaleError::from)?)
    }
}
