//! A waiting task as its painter sees it: with its place in line and how long it will take.

use cloud::{
    Cloud, StoreError,
    tables::{Backlog, PaceOf, WorkersOf},
};
use model::{Millis, Settings, Task, socket::TaskView};
use policy::{PoolSnapshot, scale, wait};
use serde::Serialize;

/// Most of the line that is looked at.
const PAGE: u32 = 200;

/// The view, and what is known of the wait.
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
    let pace = PaceOf(task.pool.clone());
    let (pool, pace, workers, backlog) = tokio::try_join!(
        cloud.store.get(&task.pool),
        cloud.store.get(&pace),
        cloud.store.list(WorkersOf(&task.pool)),
        cloud.store.list(Backlog(&task.pool, PAGE))
    )?;
    view.note = Some(scale::note(&workers).to_owned());
    let estimates = pace.map(|pace| pace.estimates).unwrap_or_default();
    let eta = pool.and_then(|pool| {
        let snapshot = PoolSnapshot {
            pool: &pool,
            workers: &workers,
            backlog: &backlog,
            presence: &[],
            estimates: &estimates,
            settings,
            now,
        };
        wait::eta(&snapshot, task.task_id)
    });
    Ok(Waiting {
        view,
        position: eta.map(|eta| eta.position),
        eta_s: eta.map(|eta| eta.done.as_secs()),
    })
}
