//! What a pool has learned of its painters' pauses.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Millis, PoolId, UserId, scheduling::store};

/// How likely the next requests of a pool's painters are, minute by minute: learned at each tick from who was there at the
/// tick before, and what they did since.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hazard {
    /// Which pool.
    pub pool: PoolId,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// What its numbers mean; those of another format are not used.
    pub format: u32,
    /// The tick that it has seen last.
    pub at: Millis,
    /// What painters did in each situation, by its number.
    #[serde(default)]
    pub cells: BTreeMap<u16, Tally>,
    /// What painters did who had not been here for an hour, for each hour of the day, UTC.
    #[serde(default)]
    pub comers: Vec<Tally>,
    /// Requests for each hour of the day, UTC, against those that the cells let expect.
    #[serde(default)]
    pub hours: Vec<Frailty>,
    /// Painters that were here lately.
    #[serde(default)]
    pub painters: Vec<Painter>,
    /// When somebody waited, or a worker was busy, for the last time.
    #[serde(default)]
    pub worked: Millis,
    /// What the rule with fixed times would have cost.
    #[serde(default)]
    pub fixed: Course,
    /// What the rule by this hazard would have cost.
    #[serde(default)]
    pub learned: Course,
}

/// What happened in some time.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// The time, minutes.
    #[serde(rename = "m", serialize_with = "store")]
    pub minutes: f64,
    /// Minutes in which somebody asked for a picture.
    #[serde(rename = "a", serialize_with = "store")]
    pub asks: f64,
    /// Minutes in which somebody who had been silent gave a sign, and did not ask.
    #[serde(rename = "r", serialize_with = "store")]
    pub returns: f64,
}

/// How much more often somebody asks than others in the same situation.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Frailty {
    /// Requests.
    #[serde(rename = "a", serialize_with = "store")]
    pub asks: f64,
    /// Requests that others would have made.
    #[serde(rename = "e", serialize_with = "store")]
    pub expected: f64,
}

/// A painter as the last tick saw them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Painter {
    /// Who.
    pub user: UserId,
    /// When their stay began.
    pub since: Millis,
    /// Their last sign.
    pub at: Millis,
    /// When they last asked, in this stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Millis>,
    /// Milliseconds from the request before to that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_ms: Option<u64>,
    /// Their client reports the canvas.
    #[serde(default)]
    pub watched: bool,
    /// How much more often they ask than others.
    #[serde(default)]
    pub frailty: Frailty,
}

/// What a rule would have cost, had it decided about one machine.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// Since when its machine is on; none: it is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Millis>,
    /// Dollars: machine time, and what painters waited who met no machine. What is long ago counts less.
    #[serde(serialize_with = "store")]
    pub usd: f64,
}
