//! What workers and runs show of the pool, kept for the next decisions. Losing a sample loses nothing else.

use cloud::{Store, StoreError, Write, chain, on_conflict, tables::PaceOf};
use model::{Millis, Pace, PoolId, Task, Worker, worker_api::Read};
use policy::learn;
use tracing::warn;

/// A worker has become ready.
pub async fn started(store: &Store, worker: &Worker, now: Millis) {
    note(store, &worker.pool, |pace| learn::started(pace, worker, now)).await;
}

/// A run has begun. `bytes`: of its main model, where the catalogue knows it.
pub async fn claimed(store: &Store, task: &Task, bytes: Option<u64>, now: Millis) {
    note(store, &task.pool, |pace| learn::claimed(pace, task, bytes, now)).await;
}

/// A run has delivered, for which these model files were read.
pub async fn finished(store: &Store, task: &Task, reads: &[Read], now: Millis) {
    note(store, &task.pool, |pace| learn::finished(pace, task, reads, now)).await;
}

async fn note(store: &Store, pool: &PoolId, change: impl Fn(&mut Pace)) {
    let id = PaceOf(pool.clone());
    let noted: Result<(), StoreError> = on_conflict!({
        let pace = store.get(&id).await?;
        let mut pace = pace.unwrap_or_else(|| Pace::new(pool.clone()));
        change(&mut pace);
        store.commit([Write::put(&mut pace)?]).await
    });
    if let Err(error) = noted {
        warn!(pool = %pool, error = chain(&error), "what a run showed was not noted");
    }
}
