//! A pool's line as its painters see it: places, and how long they will take.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
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

/// What changes little within a second: everything but who renders.
#[derive(Debug, Clone)]
struct Standing {
    pool: Option<Pool>,
    pace: Pace,
    backlog: Vec<BacklogEntry>,
}

impl Standing {
    async fn read(cloud: &Cloud, id: &PoolId) -> Result<Self, StoreError> {
        let pace = PaceOf(id.clone());
        let (pool, pace, backlog) = tokio::try_join!(
            cloud.store.get(id),
            cloud.store.get(&pace),
            cloud.store.list(Backlog(id, PAGE))
        )?;
        Ok(Self {
            pool,
            pace: pace.unwrap_or_else(|| Pace::new(id.clone())),
            backlog,
        })
    }
}

/// Lines as they were read lately, so that many requests at once do not each read the same.
#[derive(Debug, Default)]
pub struct Lines(Mutex<HashMap<PoolId, (Millis, Standing)>>);

impl Lines {
    /// The line, at most `line_age` old; who renders is always read anew, since a free worker is to be woken.
    pub async fn read(&self, cloud: &Cloud, id: &PoolId, settings: &Settings, now: Millis) -> Result<Line, StoreError> {
        let kept = self.kept().get(id).cloned();
        let workers = cloud.store.list(WorkersOf(id));
        if let Some((_, standing)) = kept.filter(|(at, _)| now.since(*at) < settings.line_age) {
            return Ok(Line::of(standing, workers.await?));
        }
        let (standing, workers) = tokio::try_join!(Standing::read(cloud, id), workers)?;
        if standing.pool.is_some() {
            self.kept().insert(id.clone(), (now, standing.clone()));
        }
        Ok(Line::of(standing, workers))
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
        let (standing, workers) = tokio::try_join!(Standing::read(cloud, id), cloud.store.list(WorkersOf(id)))?;
        Ok(Self::of(standing, workers))
    }

    fn of(Standing { pool, pace, backlog }: Standing, workers: Vec<Worker>) -> Self {
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
            settings,
            now,
        })
    }
}
