//! Scheduled: every five minutes it says what the next hour will ask of each pool, and once a day it learns.
//!
//! What it says is an item of its own ([`model::HourForecast`]); whether anything follows from it is decided by `lifecycle`.
//! What was learned lies in the bucket. Learning and saying are calls of their own, so that a training that is cut off
//! leaves the last good one, and costs no forecast.

mod history;
mod keep;
mod look;
mod train;

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
}

impl ForecastError {
    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Bucket(error) => error.is_retryable(),
            Self::Pools(_) => true,
        }
    }
}

impl App {
    /// Learns if the event says `train`, else forecasts.
    ///
    /// # Errors
    /// [`ForecastError`]: a pool was left as it was.
    pub async fn handle(&self, event: &Value, now: Millis) -> Result<(), ForecastError> {
        let trains = event["train"].as_bool().unwrap_or_default();
        let named = self.cloud.store.get(&AllPools).await?;
        let mut pools = named.map(|it| it.pools).unwrap_or_default();
        // Each is the first in its turn: where there are more than the time is enough for, the same ones are not left out each time.
        let turn = if trains { slot(now) / DAY as u64 } else { slot(now) };
        let first = turn % (pools.len() as u64).max(1);
        pools.rotate_left(usize::try_from(first).unwrap_or_default());
        let mut failed = 0;
        for pool in pools {
            let done = if trains {
                train::train(&self.cloud, &pool, now).await
            } else {
                look::look(&self.cloud, &pool, now).await
            };
            if let Err(problem) = done {
                failed += 1;
                error!(%pool, trains, error = chain(&problem), "a pool could not be looked after");
            }
        }
        if failed == 0 {
            Ok(())
        } else {
            Err(ForecastError::Pools(failed))
        }
    }
}

/// Where what is kept of a pool lies in the bucket of pictures.
fn key(pool: &PoolId, what: &str) -> String {
    format!("forecast/{pool}/{what}.json")
}
