//! What workers and runs show of the pool, kept for the next decisions. Losing a sample loses nothing else.

use cloud::{StoreError, Write, http::chain, retry::on_conflict, tables::PaceOf};
use model::{Estimates, Millis, Pace, PoolId, Task, Worker};
use policy::estimate;
use tracing::warn;

use crate::App;

/// A worker has become ready: how long machines take to come up.
pub(crate) async fn started(app: &App, worker: &Worker, now: Millis) {
    let took = now.since(worker.up_since).as_secs_f64() * 1000.0;
    note(app, &worker.pool, |it| estimate::learn(&mut it.start, took)).await;
}

/// A run has begun: how much is asked for.
pub(crate) async fn claimed(app: &App, task: &Task, now: Millis) {
    note(app, &task.pool, |it| {
        let run = estimate::run(it, task.model.as_deref(), task.work);
        estimate::learn_load(&mut it.load, run, now);
    })
    .await;
}

/// A run has delivered: how long runs take.
pub(crate) async fn finished(app: &App, task: &Task, now: Millis) {
    let Some(since) = task.claimed_at else { return };
    note(app, &task.pool, |it| {
        estimate::learn_run(it, task.model.as_deref(), task.work, now.since(since));
    })
    .await;
}

async fn note(app: &App, pool: &PoolId, change: impl Fn(&mut Estimates)) {
    let store = &app.cloud.store;
    let id = PaceOf(pool.clone());
    let noted = on_conflict(async || {
        let pace = store.get(&id).await?;
        let mut pace = pace.unwrap_or_else(|| Pace::new(pool.clone()));
        change(&mut pace.estimates);
        store.commit([Write::put(&mut pace)?]).await
    });
    let noted: Result<(), StoreError> = noted.await;
    if let Err(error) = noted {
        warn!(pool = %pool, error = chain(&error), "what a run showed was not noted");
    }
}
