//! What scheduling remembers between decisions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Millis, PoolId, TaskId, UserId, worker_api::Source};

/// A learned number as a table holds it: zero, or of a magnitude that DynamoDB's numbers have (1E-130 to 9.9E+125) with
/// much room. An amount that has decayed below it is none; what is no number is none either.
pub fn storable(number: f64) -> f64 {
    const LEAST: f64 = 1e-12;
    const MOST: f64 = 1e18;
    let magnitude = number.abs().min(MOST);
    if number.is_finite() && magnitude >= LEAST {
        magnitude.copysign(number)
    } else {
        0.0
    }
}

/// The serializer hands over references.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(crate) fn store<S: serde::Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(storable(*number))
}

/// A learned mean: exponentially weighted, so that it follows a change within some dozen samples.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean so far; its unit is the owner's.
    #[serde(serialize_with = "store")]
    pub mean: f64,
    /// How many samples made it.
    pub samples: u32,
}

/// GPU time asked for, in a sliding mean over some minutes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// GPU seconds a second: how many workers it keeps busy.
    #[serde(serialize_with = "store")]
    pub erlangs: f64,
    /// When that was.
    pub at: Millis,
}

/// How long things take in a pool, learned from what finished there.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimates {
    /// Milliseconds per unit of work (step × megapixel × picture), by model file.
    #[serde(default)]
    pub per_work: BTreeMap<String, Estimate>,
    /// The same over all models, for a model never seen.
    #[serde(default)]
    pub any: Estimate,
    /// Milliseconds of a whole run.
    #[serde(default)]
    pub run: Estimate,
    /// Milliseconds from the decision to start a machine until it is ready.
    #[serde(default)]
    pub start: Estimate,
    /// How much is asked for.
    #[serde(default)]
    pub load: Load,
    /// Milliseconds by which the painters' ETAs were off, as a magnitude.
    #[serde(default)]
    pub eta_error: Estimate,
    /// How often each main model is asked for, by its file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub demand: BTreeMap<String, Demand>,
    /// Bytes of the main models that lie in the studio's store, by their files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sizes: BTreeMap<String, u64>,
    /// Milliseconds that a megabyte of a model takes, by where it comes from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reads: BTreeMap<Source, Estimate>,
}

/// How often something is asked for, where what is long ago counts less.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Demand {
    /// Pictures, as they counted at that time.
    pub pictures: f64,
    /// When that was.
    pub at: Millis,
}

/// What a pool's runs have shown. Apart from [`crate::Pool`], whose version decides which planner wins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// Which pool.
    pub pool: PoolId,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// Start tag of the run claimed furthest on: where a flow that was idle begins.
    #[serde(default)]
    pub virtual_time: u64,
    /// How long things take.
    #[serde(default)]
    pub estimates: Estimates,
}

impl Pace {
    /// The pace of a pool that has rendered nothing yet.
    pub fn new(pool: PoolId) -> Self {
        Self {
            pool,
            version: 0,
            virtual_time: 0,
            estimates: Estimates::default(),
        }
    }
}

/// A painter at their canvas: one item for each painter and pool, so that painters never write the same one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Where their pictures are rendered. (`pool` is the key's, and there it has a prefix.)
    #[serde(rename = "renders_in")]
    pub pool: PoolId,
    /// Who.
    pub user: UserId,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// When this stay began.
    pub since: Millis,
    /// The last sign of it: an authenticated call, a submit, activity on the canvas.
    pub at: Millis,
    /// When they last asked for a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Millis>,
    /// Their client reports the canvas, so that its silence says that they are away.
    #[serde(default)]
    pub watched: bool,
    /// When DynamoDB may delete the item, seconds.
    pub ttl: u64,
}

/// A place for a call that is kept open, and the call that has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCall {
    /// The place, from 0.
    pub place: u64,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// The task that is waited for.
    pub task: TaskId,
    /// Until when, if the call does not end earlier.
    pub until: Millis,
    /// When DynamoDB may delete the item, seconds.
    pub ttl: u64,
}

/// What became of one start or launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchOutcome {
    /// When it was known.
    pub at: Millis,
    /// Whether a worker came up.
    pub ok: bool,
}

/// Pauses automatic starts of a pool whose machines do not come up.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// The last outcomes, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<LaunchOutcome>,
    /// Since when it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Millis>,
    /// When the last probe was let through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probed_at: Option<Millis>,
    /// What an operator has decided instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<BreakerForce>,
    /// What those who wait were told last while starts were paused; absent once one is tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
}

/// Words that everybody who waited at a moment was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The words.
    pub words: String,
    /// When.
    pub at: Millis,
}

/// An operator's override of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerForce {
    /// Nothing is started.
    Open,
    /// Starts go on whatever fails.
    Closed,
}

/// What the forecast asks for, and what it may still cost.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// Workers to keep up.
    pub workers: u32,
    /// Until when that holds.
    pub until: Millis,
    /// Machine time, in milliseconds, that workers may stay up for the forecast alone. It grows by a share of the time
    /// that they were up for other reasons, so that a wrong forecast costs no more than that share.
    #[serde(default)]
    pub credit_ms: i64,
    /// Until when the credit is settled.
    #[serde(default)]
    pub settled_at: Millis,
}
