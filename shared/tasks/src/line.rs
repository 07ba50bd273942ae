//! A pool's line as its painters see it: places, and how long they will take.

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

impl Line {
    /// Reads it: the first page of those who wait.
    pub async fn read(cloud: &Cloud, id: &PoolId) -> Result<Self, StoreError> {
        let pace = PaceOf(id.clone());
        let (pool, pace, workers, backlog) = tokio::try_join!(
            cloud.store.get(id),
            cloud.store.get(&pace),
            cloud.store.list(WorkersOf(id)),
            cloud.store.list(Backlog(id, PAGE))
        )?;
        Ok(Self {
            pool,
            pace: pace.unwrap_or_else(|| Pace::new(id.clone())),
            workers,
            backlog,
        })
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
