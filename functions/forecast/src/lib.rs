//! Scheduled: every five minutes it says what the next hour will ask of each pool, and once a day it learns.
//!
//! What it says is an item of its own ([`model::HourForecast`]); whether anything follows from it is decided by `lifecycle`.
//! What was learned lies in the bucket. Learning and saying are calls of their own, so that a training that is cut off
//! leaves the last good one, and costs no forecast.

mod history;
mod keep;
mod look;
mod train;
mod turn;

use std::time::Duration;

use cloud::{Cloud, StoreError, bucket::BucketError, chain, tables::AllPools};
use forecast::{DAY, slot};
use model::{Millis, PoolId};
use serde_json::Value;
use tracing::error;

/// What the handler needs.
#[derive(Debug)]
pub struct App {
    /// AWS.
    pub cloud: Cloud,
}

/// The call was not (wholly) handled; the next one makes it good.
#[derive(Debug, thiserror::Error)]
pub enum ForecastError {
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// At least one pool could not be looked after; the others were.
    #[error("{0} pools could not be looked after")]
    Pools(usize),
    /// There are more pools than the time was enough for; the others were looked after.
    #[error("there was no time for {0} pools, which come first next time")]
    Left(usize),
}

impl ForecastError {
    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Bucket(error) => error.is_retryable(),
            Self::Pools(_) | Self::Left(_) => true,
        }
    }
}

/// A forecast every five minutes has to be over before the next one begins.
const LOOK: Duration = Duration::from_mins(4);
/// The last pool that a call begins with takes so long at most; in a call that is cut off sooner, half of its time.
const LAST: Duration = Duration::from_mins(1);

/// Until when a call that is cut off at `deadline` begins with another pool.
pub fn until(event: &Value, now: Millis, deadline: Millis) -> Millis {
    let end = deadline - LAST.min(deadline.since(now) / 2);
    if trains(event) { end } else { end.min(now + LOOK) }
}

fn trains(event: &Value) -> bool {
    event["train"].as_bool().unwrap_or_default()
}

impl App {
    /// Learns if the event says `train`, else forecasts. `in_time`: whether there is time for another pool; those for which
    /// there is none are counted, and come first next time.
    ///
    /// # Errors
    /// [`ForecastError`]: a pool was left as it was.
    pub async fn handle(&self, event: &Value, now: Millis, in_time: impl Fn() -> bool) -> Result<(), ForecastError> {
        let trains = trains(event);
        let named = self.cloud.store.get(&AllPools).await?;
        let mut pools = named.map(|it| it.pools).unwrap_or_default();
        let turn = if trains { slot(now) / DAY as u64 } else { slot(now) };
        turn::begin(&self.cloud.bucket, trains, turn, &mut pools).await?;
        let (mut failed, mut left) = (0, 0);
        for (place, pool) in pools.iter().enumerate() {
            if !in_time() {
                left = pools.len() - place;
                error!(%pool, trains, left, "there is no time for the pools from this one on");
                turn::leave(&self.cloud.bucket, trains, turn, pool).await?;
                break;
            }
            let done = if trains {
                train::train(&self.cloud, pool, now).await
            } else {
                look::look(&self.cloud, pool, now).await
            };
            if let Err(problem) = done {
                failed += 1;
                error!(%pool, trains, error = chain(&problem), "a pool could not be looked after");
            }
        }
        match (failed, left) {
            (0, 0) => Ok(()),
            (0, left) => Err(ForecastError::Left(left)),
            (failed, _) => Err(ForecastError::Pools(failed)),
        }
    }
}

/// Where what is kept of a pool lies in the bucket of pictures.
fn key(pool: &PoolId, what: &str) -> String {
    format!("forecast/{pool}/{what}.json")
}
