//! What is asked for: counted once a task is over, and what is expected of the next hour.
//!
//! A task counts once, however often and in whatever order it comes: the
//! mark that says so and the counts are one transaction.

use std::collections::{BTreeMap, BTreeSet};

use cloud::{
    Store, StoreError, Write, chain, on_conflict,
    tables::{CountedOf, DemandAt, ForecastOf},
};
use model::{DemandCount, DemandCounted, HourForecast, Millis, NextHour, PoolId, Task};
use policy::count;
use tracing::{error, warn};

/// Most tasks that are counted with one transaction, which takes a hundred items.
const AT_ONCE: usize = 90;

/// Counts these tasks, those that are over and were not counted yet. What failed can be counted again with all others.
/// Five minutes whose item cannot be read are left alone, and logged: they must not keep whoever counts from the others.
///
/// # Errors
/// [`StoreError`]: some have not been counted, and would be if they came again.
pub async fn count(store: &Store, tasks: &[Task], now: Millis) -> Result<(), StoreError> {
    let mut slots: BTreeMap<(&PoolId, Millis), BTreeMap<_, &Task>> = BTreeMap::new();
    for task in tasks {
        if let Some(at) = count::slot(task, now) {
            slots.entry((&task.pool, at)).or_default().insert(task.task_id, task);
        }
    }
    for ((pool, at), tasks) in slots {
        let tasks: Vec<_> = tasks.into_values().collect();
        for tasks in tasks.chunks(AT_ONCE) {
            match in_one(store, pool, at, tasks, now).await {
                Err(problem) if !problem.is_retryable() => {
                    error!(%pool, at = at.0, error = chain(&problem), "what was asked for was not counted");
                }
                counted => counted?,
            }
        }
    }
    Ok(())
}

/// Tasks of the same five minutes.
async fn in_one(store: &Store, pool: &PoolId, at: Millis, tasks: &[&Task], now: Millis) -> Result<(), StoreError> {
    let marks: Vec<_> = tasks.iter().map(|task| CountedOf(task.task_id)).collect();
    let id = DemandAt(pool.clone(), at);
    on_conflict!({
        let (known, counts) = tokio::try_join!(store.get_all(&marks), store.get(&id))?;
        let known: BTreeSet<_> = known.into_iter().flatten().map(|it| it.task).collect();
        let mut counts = counts.unwrap_or_else(|| DemandCount::new(pool, at));
        let mut writes = Vec::new();
        for task in tasks.iter().filter(|task| !known.contains(&task.task_id)) {
            count::add(&mut counts, task);
            writes.push(Write::put(&mut DemandCounted {
                task: task.task_id,
                version: 0,
                ttl: (now + DemandCounted::KEPT).seconds(),
            })?);
        }
        if writes.is_empty() {
            return Ok(());
        }
        writes.push(Write::put(&mut counts)?);
        store.commit_all(&writes).await
    })
}

/// What a pool's next hour is expected to ask for; none where nothing was published lately, and where it is damaged or of
/// another form, which is logged. It is a hint: whoever cannot read it goes on without.
pub async fn next_hour(store: &Store, pool: &PoolId, now: Millis) -> Option<NextHour> {
    let found = match store.get(&ForecastOf(pool.clone())).await {
        Ok(found) => found?,
        Err(problem) => {
            warn!(%pool, error = chain(&problem), "the forecast could not be read; there is none");
            return None;
        }
    };
    if found.form != HourForecast::FORM {
        warn!(%pool, form = found.form, "the forecast is of another form; there is none");
        return None;
    }
    if forecast::checksum(&found.hour) != found.sha256 {
        error!(%pool, "the forecast is damaged; there is none");
        return None;
    }
    Some(found.hour).filter(|it| it.from <= now && now < it.until)
}
