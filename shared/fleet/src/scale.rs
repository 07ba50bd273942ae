//! Carrying out a scaling plan: the one code path that wakes, starts and launches for waiting work.

use cloud::{
    Cloud, StoreError, Write, chain, metrics, on_conflict,
    retry::MayConflict,
    tables::{Backlog, HazardOf, PaceOf, PresenceIn, WorkersOf},
};
use model::{
    BacklogEntry, Estimates, Hazard, Millis, Pool, PoolId, Presence, Settings, Worker, WorkerId, WorkerState,
    metrics::STARTS, socket::ServerMessage,
};
use policy::{
    PoolSnapshot, breaker, meter,
    scale::{Grow, ScalePlan, note, paused, plan},
    start::{self, MOST_PLANS, Refusal, won},
};
use tasks::{
    notify::{tell_owner, tell_worker},
    runs::{RunError, change_worker, move_worker, preempt},
};
use tracing::{error, info, warn};

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
    /// What is known of its painters' pauses; none if nothing is, or it cannot be read.
    pub hazard: Option<Hazard>,
}

impl Loaded {
    /// Reads a pool; none if there is no such pool.
    pub async fn read(cloud: &Cloud, pool: &PoolId) -> Result<Option<Self>, StoreError> {
        let (pace, hazard) = (PaceOf(pool.clone()), HazardOf(pool.clone()));
        let (pool_item, workers, backlog, presence, pace, hazard) = tokio::try_join!(
            cloud.store.get(pool),
            cloud.store.list(WorkersOf(pool)),
            cloud.store.list(Backlog(pool, PAGE)),
            cloud.store.list(PresenceIn(pool)),
            cloud.store.get(&pace),
            cloud.store.get_readable(&hazard)
        )?;
        let Some(pool_item) = pool_item else { return Ok(None) };
        // The index may not show a worker that was just started.
        let mut workers = workers;
        for starting in &pool_item.starting {
            if !workers.iter().any(|worker| worker.worker_id == starting.worker_id)
                && let Some(worker) = cloud.store.get_readable(&starting.worker_id).await?
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
            hazard,
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
            hazard: self.hazard.as_ref(),
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
        match self {
            Self::Store(error) => error.is_conflict(),
            Self::Run(error) => error.is_conflict(),
            Self::Fleet(_) => false,
        }
    }
}

/// Looks at a pool, decides, and carries the plan out. Whether the fleet was to be changed.
pub async fn scale(
    cloud: &Cloud,
    fleet: &Fleet,
    settings: &Settings,
    pool: &PoolId,
    now: Millis,
) -> Result<bool, ScaleError> {
    let mut planned = false;
    for _ in 0..MOST_PLANS {
        let Some(loaded) = Loaded::read(cloud, pool).await? else {
            warn!(pool = %pool, "there is work for a pool that does not exist; make it with `ops pool set`");
            return Ok(planned);
        };
        let snapshot = loaded.snapshot(settings, now);
        let plan = plan(&snapshot);
        info!(pool = %pool, plan = serde_json::to_string(&plan).unwrap_or_default(), "scaling");
        planned |= plan.grow != Grow::No;
        wake(cloud, &loaded, &plan).await;
        preempt(cloud, &snapshot).await?;
        let next = carry_out(cloud, fleet, &snapshot, &plan).await?;
        tell_operator(cloud, &loaded, now).await?;
        if next == Next::Done {
            break;
        }
    }
    Ok(planned)
}

/// Says once a month in the log that the pool comes near its monthly limit, and that it has reached it.
async fn tell_operator(cloud: &Cloud, loaded: &Loaded, now: Millis) -> Result<(), StoreError> {
    let workers = &loaded.workers;
    if meter::notice(&loaded.pool, workers, now).is_none() {
        return Ok(());
    }
    let told = on_conflict!({
        let Some(mut pool) = cloud.store.get(&loaded.pool.pool).await? else {
            return Ok(None);
        };
        let Some(percent) = meter::notice(&pool, workers, now) else {
            return Ok(None);
        };
        meter::told(&mut pool, percent, now);
        cloud.store.commit([Write::put(&mut pool)?]).await?;
        Ok::<_, StoreError>(Some(percent))
    })?;
    let pool = &loaded.pool.pool;
    match told {
        Some(100) => error!(%pool, "the pool's monthly limit is reached: no machine starts; see `ops pool show`"),
        Some(percent) => warn!(%pool, percent, "the pool has used much of its monthly limit; see `ops pool show`"),
        None => {}
    }
    Ok(())
}

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
                tell_paused(cloud, snapshot).await?;
            }
            Ok(Next::Done)
        }
        Grow::Undrain(worker) => {
            let undrained = move_worker(cloud, worker, WorkerState::Ready, now, |w| {
                w.state == WorkerState::Draining && w.run.is_none() && w.dismissed.is_none()
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
    tell(cloud, snapshot.wanted(), note).await;
}

/// Tells those who wait that starts are paused, unless they know.
async fn tell_paused(cloud: &Cloud, snapshot: &PoolSnapshot<'_>) -> Result<(), StoreError> {
    let mut pool = snapshot.pool.clone();
    let paused = paused(&pool, snapshot.workers, snapshot.settings, snapshot.now);
    let words = note(snapshot.workers, paused);
    let mut untold = snapshot
        .wanted()
        .filter(|entry| !breaker::was_told(&snapshot.pool.breaker, words, entry.created))
        .peekable();
    if untold.peek().is_none() {
        return Ok(());
    }
    breaker::tell(&mut pool.breaker, words, snapshot.now);
    match cloud.store.commit([Write::put(&mut pool)?]).await {
        Ok(()) => tell(cloud, untold, words).await,
        // Whoever changed the pool has something to say, or the next look has.
        Err(StoreError::Conflict) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

async fn tell(cloud: &Cloud, entries: impl Iterator<Item = &BacklogEntry>, note: &str) {
    for entry in entries.take(TOLD) {
        match cloud.store.get(&entry.task_id).await {
            Ok(Some(task)) => tell_owner(cloud, &task, Some(note)).await,
            Ok(None) => {}
            Err(error) => warn!(error = chain(&error), "a task could not be read"),
        }
    }
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
        Err(error) => no_capacity(cloud, snapshot, worker_id, false, error).await,
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
        Err(error) => no_capacity(cloud, snapshot, &worker_id, true, error).await,
    }
}

/// Takes a start back, or a launch.
async fn no_capacity(
    cloud: &Cloud,
    snapshot: &PoolSnapshot<'_>,
    worker_id: &WorkerId,
    launched: bool,
    error: FleetError,
) -> Result<Next, ScaleError> {
    warn!(worker.id = %worker_id, error = chain(&error), "no machine came");
    let now = snapshot.now;
    let why = match error {
        FleetError::NoCapacity(_) => Refusal::NoCapacity,
        FleetError::Aws { .. } => Refusal::Failed,
    };
    if !launched {
        let refused = |worker: &mut Worker| Ok(start::start_refused(worker, why, now));
        change_worker::<ScaleError>(cloud, worker_id, now, refused).await?;
    }
    // Whatever else became of a start, its worker shows.
    match (why, launched) {
        (Refusal::NoCapacity, _) => metrics::note([STARTS.sample(["no_capacity"], 1.0)], &[]),
        (Refusal::Failed, true) => metrics::note([STARTS.sample(["failed"], 1.0)], &[]),
        (Refusal::Failed, false) => {}
    }
    let paused = on_conflict!({
        let Some(mut pool) = cloud.store.get(&snapshot.pool.pool).await? else {
            return Ok(None);
        };
        let mut writes = Vec::new();
        if launched {
            let mut worker = cloud.store.get(worker_id).await?;
            let never_was = start::launch_refused(&mut pool, worker_id, worker.as_ref(), why, now);
            writes.extend(worker.as_mut().filter(|_| never_was).map(Write::delete));
        } else {
            start::forget(&mut pool, worker_id);
        }
        let paused = paused(&pool, snapshot.workers, snapshot.settings, now);
        if let Some(words) = paused {
            breaker::tell(&mut pool.breaker, words, now);
        }
        writes.push(Write::put(&mut pool)?);
        cloud.store.commit_all(&writes).await?;
        Ok::<_, StoreError>(paused)
    })?;
    if start::plan_again(launched, why) {
        return Ok(Next::PlanAgain);
    }
    let none = "No GPU is to be had at the moment; the picture waits and is tried again.";
    tell_waiting(cloud, snapshot, paused.unwrap_or(none)).await;
    match error {
        FleetError::NoCapacity(_) => Ok(Next::Done),
        error @ FleetError::Aws { .. } => Err(error.into()),
    }
}
