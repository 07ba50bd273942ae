//! A pool's line as its painters see it: places, and how long they will take.

use cloud::{
    Cloud, StoreError,
    tables::{Backlog, PaceOf, WorkersOf},
};
use model::{BacklogEntry, Millis, Pace, Pool, PoolId, Settings, Task, TaskId, Worker, socket::TaskView};
use policy::{
    PoolSnapshot, breaker, scale,
    wait::{self, Eta},
};
use serde::Serialize;

/// Most of the line that is looked at.
const PAGE: u32 = 200;

/// What is known of a pool's line.
#[derive(Debug)]
pub(crate) struct Line {
    /// The pool; none if nobody made it.
    pub(crate) pool: Option<Pool>,
    /// How fast it goes on.
    pub(crate) pace: Pace,
    /// Who renders, as the index shows it.
    pub(crate) workers: Vec<Worker>,
    backlog: Vec<BacklogEntry>,
}

impl Line {
    pub(crate) async fn read(cloud: &Cloud, id: &PoolId) -> Result<Self, StoreError> {
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

    /// Place in line and time left of a task that waits.
    pub(crate) fn eta(&self, task: TaskId, settings: &Settings, now: Millis) -> Option<Eta> {
        self.eta_in(&self.backlog, task, settings, now)
    }

    /// The same for a task that is only about to wait.
    pub(crate) fn eta_of_new(&self, task: &Task, settings: &Settings, now: Millis) -> Option<Eta> {
        let mut backlog = self.backlog.clone();
        backlog.push(task.into());
        self.eta_in(&backlog, task.task_id, settings, now)
    }

    fn eta_in(&self, backlog: &[BacklogEntry], task: TaskId, settings: &Settings, now: Millis) -> Option<Eta> {
        let snapshot = PoolSnapshot {
            pool: self.pool.as_ref()?,
            workers: &self.workers,
            backlog,
            presence: &[],
            estimates: &self.pace.estimates,
            settings,
            now,
        };
        wait::eta(&snapshot, task)
    }
}

/// A task's view, and what is known of the wait.
#[derive(Debug, Serialize)]
pub(crate) struct Waiting {
    #[serde(flatten)]
    view: TaskView,
    /// Place in line, from 1; none for whoever is far behind, or where the index does not show the task yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
    /// Seconds until the picture is there, by what runs and starts took lately.
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_s: Option<u64>,
}

pub(crate) async fn view(
    cloud: &Cloud,
    settings: &Settings,
    task: &Task,
    mut view: TaskView,
    now: Millis,
) -> Result<Waiting, StoreError> {
    let line = Line::read(cloud, &task.pool).await?;
    let pool = line.pool.as_ref();
    let paused = pool.and_then(|pool| breaker::paused(&pool.breaker, settings, now));
    view.note = Some(scale::note(&line.workers, paused).to_owned());
    let eta = line.eta(task.task_id, settings, now);
    Ok(Waiting {
        view,
        position: eta.map(|eta| eta.position),
        eta_s: eta.map(|eta| eta.done.as_secs()),
    })
}
