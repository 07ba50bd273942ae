//! What workers and runs show of the pool, kept for the next decisions. Losing a sample loses nothing else.

use cloud::{StoreError, Write, http::chain, retry::on_conflict, tables::PaceOf};
use model::{Millis, Pace, PoolId, Task, Worker};
use policy::{estimate, fair};
use tracing::warn;

use crate::App;

/// A worker has become ready: how long machines take to come up.
pub(crate) async fn started(app: &App, worker: &Worker, now: Millis) {
    let took = now.since(worker.up_since).as_secs_f64() * 1000.0;
    note(app, &worker.pool, |it| estimate::learn(&mut it.estimates.start, took)).await;
}

/// A run has begun: how much is asked for, and how far the line has come.
pub(crate) async fn claimed(app: &App, task: &Task, now: Millis) {
    note(app, &task.pool, |pace| {
        let it = &mut pace.estimates;
        let run = estimate::run(it, task.model.as_deref(), task.work);
        estimate::learn_load(&mut it.load, run, now);
        pace.virtual_time = fair::advanced(pace.virtual_time, task.start_tag).unwrap_or(pace.virtual_time);
    })
    .await;
}

/// A run has delivered: how long runs take, and how wrong the time was that its painter was told.
pub(crate) async fn finished(app: &App, task: &Task, now: Millis) {
    let Some(since) = task.claimed_at else { return };
    note(app, &task.pool, |pace| {
        let it = &mut pace.estimates;
        estimate::learn_run(it, task.model.as_deref(), task.work, now.since(since));
        if let Some(eta) = task.eta {
            estimate::learn(&mut it.eta_error, now.0.abs_diff(eta.0) as f64);
        }
    })
    .await;
}

async fn note(app: &App, pool: &PoolId, change: impl Fn(&mut Pace)) {
    let store = &app.cloud.store;
    let id = PaceOf(pool.clone());
    let noted = on_conflict(async || {
        let pace = store.get(&id).await?;
        let mut pace = pace.unwrap_or_else(|| Pace::new(pool.clone()));
        change(&mut pace);
        store.commit([Write::put(&mut pace)?]).await
    });
    let noted: Result<(), StoreError> = noted.await;
    if let Err(error) = noted {
        warn!(pool = %pool, error = chain(&error), "what a run showed was not noted");
    }
}
