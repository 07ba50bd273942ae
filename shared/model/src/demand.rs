//! What is asked for: counts of five minutes and of days, and what is expected of the next hour.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{Millis, PoolId, TaskId, scheduling::store};

/// What was asked of a pool in five minutes. An item of its own for each, so that who counts meets nobody who plans.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemandCount {
    /// Where. (`pool` is the key's, and there it has a prefix.)
    #[serde(rename = "asked_of")]
    pub pool: String,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// When the five minutes began.
    pub at: Millis,
    /// Tasks that were submitted in them.
    pub arrivals: u64,
    /// Worker time that those took, ms.
    pub gpu_ms: u64,
    /// Who submitted, as hashes of their ids: enough to count them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub painters: BTreeSet<u32>,
    /// How often each main model was asked for, by its file; those that were asked for most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, u64>,
    /// When DynamoDB may delete the item, seconds.
    pub ttl: u64,
}

impl DemandCount {
    /// How long one counts.
    pub const SLOT: Duration = Duration::from_mins(5);
    /// How long it is kept: thirteen months.
    pub const KEPT: Duration = Duration::from_hours(396 * 24);

    /// The five minutes of a pool that begin at `at`, in which nothing was counted yet.
    pub fn new(pool: &PoolId, at: Millis) -> Self {
        Self {
            pool: pool.to_string(),
            at,
            ttl: (at + Self::KEPT).seconds(),
            ..Self::default()
        }
    }

    /// When the five minutes of a moment began.
    pub const fn began(at: Millis) -> Millis {
        let slot = Self::SLOT.as_millis() as u64;
        Millis(at.0 - at.0 % slot)
    }
}

/// What was asked of a pool on a day, UTC: what remains once the counts of five minutes are gone.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemandDay {
    /// Where. (`pool` is the key's, and there it has a prefix.)
    #[serde(rename = "asked_of")]
    pub pool: String,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// When the day began.
    pub at: Millis,
    /// Tasks that were submitted on it.
    pub arrivals: u64,
    /// Worker time that those took, ms.
    pub gpu_ms: u64,
    /// How many painters submitted.
    pub painters: u64,
    /// How often each main model was asked for, by its file; those that were asked for most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, u64>,
}

/// Says that a task has been counted, so that a record that comes twice counts once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemandCounted {
    /// The task.
    pub task: TaskId,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// When DynamoDB may delete the item, seconds.
    pub ttl: u64,
}

impl DemandCounted {
    /// Longer than any record of a stream, or of the queue of those that failed, can come again.
    pub const KEPT: Duration = Duration::from_hours(30 * 24);
}

/// Half of all hours ask for less than `p50`, nine of ten for less than `p90`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// The median.
    #[serde(serialize_with = "store")]
    pub p50: f64,
    /// The ninth of ten.
    #[serde(serialize_with = "store")]
    pub p90: f64,
}

/// Five minutes of the next hour.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NextStep {
    /// Tasks.
    pub arrivals: Band,
    /// GPU seconds of those tasks.
    pub gpu_s: Band,
}

/// How good a forecaster was in the last 14 days.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Which.
    pub member: String,
    /// Mean pinball loss of its ninth of ten, an hour.
    #[serde(serialize_with = "store")]
    pub loss: f64,
    /// Mean absolute error of its median, an hour.
    #[serde(serialize_with = "store")]
    pub error: f64,
    /// Share of hours that stayed below its ninth of ten.
    #[serde(serialize_with = "store")]
    pub coverage: f64,
    /// Forecasts that it is judged by.
    pub forecasts: u64,
}

/// What is expected of a pool's next hour.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct NextHour {
    /// When the hour begins.
    pub from: Millis,
    /// Until when this is believed: longer than until the next forecast.
    pub until: Millis,
    /// Tasks of the hour.
    pub arrivals: Band,
    /// GPU seconds of those tasks.
    pub gpu_s: Band,
    /// The same in steps of five minutes.
    pub steps: Vec<NextStep>,
    /// Which forecaster acts for arrivals; none before there is evidence for any. Then all is zero.
    pub acting: Option<String>,
    /// Which one acts for GPU seconds.
    pub acting_gpu: Option<String>,
    /// How good each was for arrivals, the simplest first.
    pub judged: Vec<Judged>,
    /// The same for GPU seconds.
    pub judged_gpu: Vec<Judged>,
    /// Models that the hour will ask for, by their files, the most wanted first.
    pub models: Vec<String>,
    /// When the forecasters learned last.
    pub learned: Option<Millis>,
    /// Counts that could not be believed and were left out or cut.
    pub disbelieved: u64,
    /// Why there is no forecast, in words.
    pub fault: Option<String>,
}

/// The published [`NextHour`] of a pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HourForecast {
    /// Which pool. (`pool` is the key's, and there it has a prefix.)
    #[serde(rename = "forecast_of")]
    pub pool: PoolId,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// What form `hour` has: one of another is not used.
    pub form: u32,
    /// Checksum of `hour`.
    pub sha256: String,
    /// What is expected.
    pub hour: NextHour,
}

impl HourForecast {
    /// The form that this release writes and reads.
    pub const FORM: u32 = 1;
}
