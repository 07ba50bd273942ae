//! A pool's line as its painters see it: places, and how long they will take.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cloud::{
    Cloud, StoreError,
    tables::{Backlog, PaceOf, WorkersOf},
};
use model::{BacklogEntry, Millis, Pace, Pool, PoolId, Settings, Task, TaskId, Worker};
use policy::{
    PoolSnapshot, scale,
    wait::{self, Eta},
};

/// Most of the line that is looked at.
const PAGE: u32 = 200;

/// What is known of a pool's line.
#[derive(Debug)]
pub struct Line {
    /// The pool; none if nobody made it.
    pub pool: Option<Pool>,
    /// How fast it goes on.
    pub pace: Pace,
    /// Who renders, as the index shows it.
    pub workers: Vec<Worker>,
    backlog: Vec<BacklogEntry>,
}

/// What may be a second old: neither who renders nor the turns.
#[derive(Debug, Clone)]
struct Standing {
    pool: Option<Pool>,
    backlog: Vec<BacklogEntry>,
}

/// What is read anew each time: a free worker is to be woken, and a place in line is for good.
async fn fresh(cloud: &Cloud, id: &PoolId) -> Result<(Pace, Vec<Worker>), StoreError> {
    let pace = PaceOf(id.clone());
    let (pace, workers) = tokio::try_join!(cloud.store.get(&pace), cloud.store.list(WorkersOf(id)))?;
    Ok((pace.unwrap_or_else(|| Pace::new(id.clone())), workers))
}

impl Standing {
    async fn read(cloud: &Cloud, id: &PoolId) -> Result<Self, StoreError> {
        let (pool, backlog) = tokio::try_join!(cloud.store.get(id), cloud.store.list(Backlog(id, PAGE)))?;
        Ok(Self { pool, backlog })
    }
}

/// Lines as they were read lately, so that many requests at once do not each read the same.
#[derive(Debug, Default)]
pub struct Lines(Mutex<HashMap<PoolId, (Millis, Standing)>>);

impl Lines {
    /// The line, of which pool and backlog are at most `line_age` old.
    pub async fn read(&self, cloud: &Cloud, id: &PoolId, settings: &Settings, now: Millis) -> Result<Line, StoreError> {
        if let Some(standing) = self.standing(id, settings, now) {
            return Ok(Line::of(standing, fresh(cloud, id).await?));
        }
        let (standing, fresh) = tokio::try_join!(Standing::read(cloud, id), fresh(cloud, id))?;
        if standing.pool.is_some() {
            self.kept().insert(id.clone(), (now, standing.clone()));
        }
        Ok(Line::of(standing, fresh))
    }

    /// Whether pool and backlog of this line are at hand.
    pub(crate) fn has(&self, id: &PoolId, settings: &Settings, now: Millis) -> bool {
        self.kept()
            .get(id)
            .is_some_and(|(at, _)| now.since(*at) < settings.line_age)
    }

    fn standing(&self, id: &PoolId, settings: &Settings, now: Millis) -> Option<Standing> {
        let kept = self.kept();
        let (at, standing) = kept.get(id)?;
        (now.since(*at) < settings.line_age).then(|| standing.clone())
    }

    /// One more waits, so that the next one comes behind it.
    pub(crate) fn joined(&self, task: &Task) {
        if let Some((_, standing)) = self.kept().get_mut(&task.pool) {
            standing.backlog.push(task.into());
        }
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<PoolId, (Millis, Standing)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Reads it: the first page of those who wait.
    pub async fn read(cloud: &Cloud, id: &PoolId) -> Result<Self, StoreError> {
        let (standing, fresh) = tokio::try_join!(Standing::read(cloud, id), fresh(cloud, id))?;
        Ok(Self::of(standing, fresh))
    }

    fn of(Standing { pool, backlog }: Standing, (pace, workers): (Pace, Vec<Worker>)) -> Self {
        Self {
            pool,
            pace,
            workers,
            backlog,
        }
    }

    /// What to tell those who wait, in words.
    pub fn words(&self, settings: &Settings, now: Millis) -> &'static str {
        let pool = self.pool.as_ref();
        let paused = pool.and_then(|pool| scale::paused(pool, &self.workers, settings, now));
        scale::note(&self.workers, paused)
    }

    /// Place in line and time left of a task that waits.
    pub fn eta(&self, task: TaskId, settings: &Settings, now: Millis) -> Option<Eta> {
        self.eta_in(&self.backlog, task, settings, now)
    }

    /// The same for a task that is only about to wait.
    pub fn eta_of_new(&self, task: &Task, settings: &Settings, now: Millis) -> Option<Eta> {
        let mut backlog = self.backlog.clone();
        backlog.push(task.into());
        self.eta_in(&backlog, task.task_id, settings, now)
    }

    /// When the last of these will be there that are only about to wait.
    pub fn eta_of_all(&self, tasks: &[Task], settings: &Settings, now: Millis) -> Option<Duration> {
        let mut backlog = self.backlog.clone();
        backlog.extend(tasks.iter().map(BacklogEntry::from));
        let snapshot = PoolSnapshot {
            backlog: &backlog,
            ..self.snapshot(settings, now)?
        };
        let etas: HashMap<_, _> = wait::etas(&snapshot).into_iter().collect();
        tasks
            .iter()
            .filter_map(|task| etas.get(&task.task_id))
            .map(|eta| eta.done)
            .max()
    }

    fn eta_in(&self, backlog: &[BacklogEntry], task: TaskId, settings: &Settings, now: Millis) -> Option<Eta> {
        let snapshot = PoolSnapshot {
            backlog,
            ..self.snapshot(settings, now)?
        };
        wait::eta(&snapshot, task)
    }

    /// The pool as a decision sees it, without who is present; none if nobody made it.
    pub fn snapshot<'a>(&'a self, settings: &'a Settings, now: Millis) -> Option<PoolSnapshot<'a>> {
        Some(PoolSnapshot {
            pool: self.pool.as_ref()?,
            workers: &self.workers,
            backlog: &self.backlog,
            presence: &[],
            estimates: &self.pace.estimates,
            hazard: None,
            settings,
            now,
        })
    }
}
