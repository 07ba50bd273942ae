//! Carrying out a scaling plan: the one code path that wakes, starts and launches for waiting work.

use cloud::{
    Cloud, StoreError, Write,
    http::chain,
    notify::{tell_owner, tell_worker},
    retry::MayConflict,
    runs::{RunError, change_worker, move_worker},
    tables::{Backlog, PaceOf, PresenceIn, WorkersOf},
};
use model::{
    BacklogEntry, Estimates, Millis, Pool, PoolId, Presence, Settings, StartingWorker, Worker, WorkerId, WorkerState,
    socket::ServerMessage,
};
use policy::{
    PoolSnapshot, breaker, estimate, forecast,
    scale::{Grow, ScalePlan, note, plan, starting},
};
use tracing::{info, warn};

use crate::{Fleet, FleetError};

/// Most waiting tasks a plan looks at.
const PAGE: u32 = 1000;

/// A pool's snapshot, loaded.
#[derive(Debug)]
pub struct Loaded {
    /// The pool's item.
    pub pool: Pool,
    /// Its workers, as the index shows them.
    pub workers: Vec<Worker>,
    /// Its waiting tasks, as the index shows them.
    pub backlog: Vec<BacklogEntry>,
    /// Who is, or was lately, at their canvas.
    pub presence: Vec<Presence>,
    /// How long things take there.
    pub estimates: Estimates,
}

impl Loaded {
    /// Reads a pool; none if there is no such pool.
    pub async fn read(cloud: &Cloud, pool: &PoolId) -> Result<Option<Self>, StoreError> {
        let pace = PaceOf(pool.clone());
        let (pool_item, workers, backlog, presence, pace) = tokio::try_join!(
            cloud.store.get(pool),
            cloud.store.list(WorkersOf(pool)),
            cloud.store.list(Backlog(pool, PAGE)),
            cloud.store.list(PresenceIn(pool)),
            cloud.store.get(&pace)
        )?;
        let Some(pool_item) = pool_item else { return Ok(None) };
        // The index may not show a worker that was just started.
        let mut workers = workers;
        for starting in &pool_item.starting {
            if !workers.iter().any(|worker| worker.worker_id == starting.worker_id)
                && let Some(worker) = cloud.store.get(&starting.worker_id).await?
            {
                workers.push(worker);
            }
        }
        Ok(Some(Self {
            pool: pool_item,
            workers,
            backlog,
            presence,
            estimates: pace.map(|pace| pace.estimates).unwrap_or_default(),
        }))
    }

    /// The snapshot for a decision now.
    pub fn snapshot<'a>(&'a self, settings: &'a Settings, now: Millis) -> PoolSnapshot<'a> {
        PoolSnapshot {
            pool: &self.pool,
            workers: &self.workers,
            backlog: &self.backlog,
            presence: &self.presence,
            estimates: &self.estimates,
            settings,
            now,
        }
    }
}

/// Scaling did not work out.
#[derive(Debug, thiserror::Error)]
pub enum ScaleError {
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A worker's transition.
    #[error(transparent)]
    Run(#[from] RunError),
    /// EC2.
    #[error(transparent)]
    Fleet(#[from] FleetError),
}

impl MayConflict for ScaleError {
    fn is_conflict(&self) -> bool {
        matches!(
            self,
            Self::Store(StoreError::Conflict) | Self::Run(RunError::Store(StoreError::Conflict))
        )
    }
}

/// Looks at a pool, decides, and carries the plan out.
pub async fn scale(
    cloud: &Cloud,
    fleet: &Fleet,
    settings: &Settings,
    pool: &PoolId,
    now: Millis,
) -> Result<(), ScaleError> {
    for _ in 0..ATTEMPTS {
        let Some(loaded) = Loaded::read(cloud, pool).await? else {
            warn!(pool = %pool, "there is work for a pool that does not exist; make it with `ops pool set`");
            return Ok(());
        };
        let snapshot = loaded.snapshot(settings, now);
        let plan = plan(&snapshot);
        info!(pool = %pool, plan = serde_json::to_string(&plan).unwrap_or_default(), "scaling");
        wake(cloud, &loaded, &plan).await;
        if carry_out(cloud, fleet, &snapshot, &plan).await? == Next::Done {
            break;
        }
    }
    Ok(())
}

/// Most plans in a row: another instance or offering after one that had no capacity.
const ATTEMPTS: usize = 4;

/// What comes after a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Done,
    /// There was no capacity for this one: another plan finds another.
    PlanAgain,
}

async fn carry_out(
    cloud: &Cloud,
    fleet: &Fleet,
    snapshot: &PoolSnapshot<'_>,
    plan: &ScalePlan,
) -> Result<Next, ScaleError> {
    let now = snapshot.now;
    match &plan.grow {
        Grow::No => {
            if plan.paused {
                let paused = breaker::paused(&snapshot.pool.breaker, snapshot.settings, now);
                tell_waiting(cloud, snapshot, note(snapshot.workers, paused)).await;
            }
            Ok(Next::Done)
        }
        Grow::Undrain(worker) => {
            let undrained = move_worker(cloud, worker, WorkerState::Ready, now, |w| {
                w.state == WorkerState::Draining && w.run.is_none()
            });
            if let Some(worker) = undrained.await? {
                tell_worker(cloud, &worker, &ServerMessage::Wake { task_id: None }).await;
            }
            Ok(Next::Done)
        }
        Grow::Start(worker) => start(cloud, fleet, snapshot, plan, worker).await,
        Grow::Launch => launch(cloud, fleet, snapshot, plan).await,
    }
}

async fn wake(cloud: &Cloud, loaded: &Loaded, plan: &ScalePlan) {
    let task_id = loaded.backlog.first().map(|entry| entry.task_id);
    for worker in loaded
        .workers
        .iter()
        .filter(|worker| plan.wake.contains(&worker.worker_id))
    {
        tell_worker(cloud, worker, &ServerMessage::Wake { task_id }).await;
    }
}

/// Most waiting tasks whose owners are told at once; who is further back learns it by asking.
const TOLD: usize = 100;

/// Tells those who wait what is happening.
async fn tell_waiting(cloud: &Cloud, snapshot: &PoolSnapshot<'_>, note: &str) {
    for entry in snapshot.wanted().take(TOLD) {
        match cloud.store.get(&entry.task_id).await {
            Ok(Some(task)) => tell_owner(cloud, &task, Some(note)).await,
            Ok(None) => {}
            Err(error) => warn!(error = chain(&error), "a task could not be read"),
        }
    }
}

/// The pool's item after this plan has won: only one planner can write it.
fn won(snapshot: &PoolSnapshot<'_>, plan: &ScalePlan, worker_id: &WorkerId) -> Pool {
    let mut pool = snapshot.pool.clone();
    pool.starting = starting(snapshot.pool, snapshot).cloned().collect();
    pool.starting.push(StartingWorker {
        worker_id: worker_id.clone(),
        since: snapshot.now,
    });
    breaker::probing(&mut pool.breaker, snapshot.now);
    if plan.for_forecast
        && let Some(forecast) = pool.forecast.as_mut()
    {
        let start = estimate::start(snapshot.estimates);
        forecast.credit_ms = forecast
            .credit_ms
            .saturating_sub(forecast::price(start, snapshot.settings));
    }
    pool
}

async fn commit_plan(cloud: &Cloud, mut pool: Pool, worker: &mut Worker) -> Result<bool, StoreError> {
    let writes = [Write::put(&mut pool)?, Write::put(worker)?];
    match cloud.store.commit(writes).await {
        Ok(()) => Ok(true),
        Err(StoreError::Conflict) => {
            info!(pool = %pool.pool, "another planner won; this plan is dropped");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

const WAKING: &str = "A GPU is waking up; this takes one or two minutes.";

async fn start(
    cloud: &Cloud,
    fleet: &Fleet,
    snapshot: &PoolSnapshot<'_>,
    plan: &ScalePlan,
    worker_id: &WorkerId,
) -> Result<Next, ScaleError> {
    let now = snapshot.now;
    let Some(mut worker) = cloud.store.get(worker_id).await? else {
        return Ok(Next::Done);
    };
    let Some(instance) = worker.instance_id.clone() else {
        return Ok(Next::Done);
    };
    if worker.become_state(WorkerState::Starting, now).is_err() {
        return Ok(Next::Done);
    }
    if !commit_plan(cloud, won(snapshot, plan, worker_id), &mut worker).await? {
        return Ok(Next::Done);
    }
    match fleet.start(&instance).await {
        Ok(()) => {
            tell_waiting(cloud, snapshot, WAKING).await;
            Ok(Next::Done)
        }
        Err(error) => no_capacity(cloud, snapshot, worker_id, Some(WorkerState::Stopped), error).await,
    }
}

async fn launch(
    cloud: &Cloud,
    fleet: &Fleet,
    snapshot: &PoolSnapshot<'_>,
    plan: &ScalePlan,
) -> Result<Next, ScaleError> {
    let now = snapshot.now;
    let worker_id = WorkerId::new(format!("w-{}", uuid::Uuid::now_v7().simple()));
    let pool = &snapshot.pool.pool;
    let mut worker = Worker::launching(worker_id.clone(), pool.clone(), now);
    if !commit_plan(cloud, won(snapshot, plan, &worker_id), &mut worker).await? {
        return Ok(Next::Done);
    }
    match fleet.launch(&worker_id, pool, &snapshot.pool.instance_types).await {
        Ok(instance) => {
            change_worker::<ScaleError>(cloud, &worker_id, now, |worker| {
                worker.instance_id = Some(instance.view.instance_id.clone());
                worker.instance_type = Some(instance.instance_type.clone());
                Ok(true)
            })
            .await?;
            tell_waiting(cloud, snapshot, WAKING).await;
            Ok(Next::Done)
        }
        Err(error) => no_capacity(cloud, snapshot, &worker_id, None, error).await,
    }
}

/// Takes a start back. Whatever the reason was, the same is not tried again for a while: a failing launch must not be
/// repeated by every message. A stopped instance that cannot be started keeps nobody from launching elsewhere.
async fn no_capacity(
    cloud: &Cloud,
    snapshot: &PoolSnapshot<'_>,
    worker_id: &WorkerId,
    back_to: Option<WorkerState>,
    error: FleetError,
) -> Result<Next, ScaleError> {
    warn!(worker.id = %worker_id, error = chain(&error), "no machine came");
    let failed = matches!(error, FleetError::Aws { .. });
    if let Some(state) = back_to {
        change_worker::<ScaleError>(cloud, worker_id, snapshot.now, |worker| {
            worker.no_capacity_at = Some(snapshot.now);
            worker.outcome_due &= failed;
            Ok(worker.state == WorkerState::Starting && worker.become_state(state, snapshot.now).is_ok())
        })
        .await?;
    }
    let paused = cloud::retry::on_conflict(async || {
        let Some(mut pool) = cloud.store.get(&snapshot.pool.pool).await? else {
            return Ok(None);
        };
        let mut writes = Vec::new();
        if back_to.is_none() {
            pool.no_capacity_at = Some(snapshot.now);
            // There never was such a worker. Should there be an instance after all, `lifecycle` ends it.
            let worker = cloud.store.get(worker_id).await?;
            let never_was = |it: &Worker| it.state == WorkerState::Launching && it.instance_id.is_none();
            if let Some(mut worker) = worker.filter(never_was) {
                writes.push(Write::delete(&mut worker));
                if failed {
                    breaker::record(&mut pool.breaker, false, snapshot.now);
                }
            }
        }
        pool.starting.retain(|starting| starting.worker_id != *worker_id);
        writes.push(Write::put(&mut pool)?);
        cloud.store.commit_all(&writes).await?;
        Ok::<_, StoreError>(breaker::paused(&pool.breaker, snapshot.settings, snapshot.now))
    })
    .await?;
    if back_to.is_some() && !failed {
        return Ok(Next::PlanAgain);
    }
    let none = "No GPU is to be had at the moment; the picture waits and is tried again.";
    tell_waiting(cloud, snapshot, paused.unwrap_or(none)).await;
    match error {
        FleetError::NoCapacity(_) => Ok(Next::Done),
        error @ FleetError::Aws { .. } => Err(error.into()),
    }
}
