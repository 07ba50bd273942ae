use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Breaker, Forecast, MicroUsd, Millis, PoolId, WorkerId};

/// A pool's state: the item on which one planner wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// The pool's name.
    pub pool: PoolId,
    /// Version of this item: the epoch that a scaling plan is conditioned on.
    pub version: u64,
    /// Most workers at once.
    pub max_workers: u32,
    /// Instance types to try, best first.
    pub instance_types: Vec<String>,
    /// Workers that a plan has started and that the index may not show yet.
    #[serde(default)]
    pub starting: Vec<StartingWorker>,
    /// When the last launch found no capacity in any zone; until some minutes after it nothing is launched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_capacity_at: Option<Millis>,
    /// The checkpoint a fresh worker warms up with: a name in the catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<String>,
    /// Prices of an hour by instance type, where they are not those of `policy::price`; `default` is for workers of
    /// unknown type, those under a desk among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prices: BTreeMap<String, MicroUsd>,
    /// Pauses automatic starts when they fail.
    #[serde(default)]
    pub breaker: Breaker,
    /// What the forecast asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<Forecast>,
    /// What its machines may cost in a month; none: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_limit: Option<MicroUsd>,
    /// What they have cost.
    #[serde(default, skip_serializing_if = "Meter::is_new")]
    pub meter: Meter,
    /// The last times that its machines were up, those that ended last at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shifts: Vec<Shift>,
}

impl Pool {
    /// A pool with these limits, in which nothing has happened yet.
    pub fn new(pool: PoolId, max_workers: u32, instance_types: Vec<String>) -> Self {
        Self {
            pool,
            version: 0,
            max_workers,
            instance_types,
            starting: Vec::new(),
            no_capacity_at: None,
            warm_up: None,
            prices: BTreeMap::new(),
            breaker: Breaker::default(),
            forecast: None,
            monthly_limit: None,
            meter: Meter::default(),
            shifts: Vec::new(),
        }
    }
}

/// What a pool's machines have cost in a month. What is here of an earlier month counts no more.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meter {
    /// The month, `yyyy-mm`, UTC.
    pub month: String,
    /// What the machines that have stopped in it cost. Those that are up come on top, by [`crate::Worker::up_since`].
    pub stopped: MicroUsd,
    /// So many percent of the monthly limit were reached when the operator was told last.
    #[serde(default)]
    pub told: u32,
    /// Whether an operator has lifted the limit for this month.
    #[serde(default)]
    pub lifted: bool,
    /// How long those machines were up in it, ms.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stopped_ms: u64,
    /// The same of the last day on which one stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<DayMeter>,
}

/// The serializer hands over references.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What a pool's machines that have stopped on one day cost on it, UTC.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayMeter {
    /// When the day began.
    pub began: Millis,
    /// What they cost.
    pub stopped: MicroUsd,
    /// How long they were up, ms.
    pub stopped_ms: u64,
}

/// A time for which a machine was up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    /// Its worker.
    pub worker_id: WorkerId,
    /// When it was asked for.
    pub from: Millis,
    /// When it was off.
    pub to: Millis,
}

impl Shift {
    /// Most of them that a pool remembers.
    pub const MOST: usize = 40;
}

impl Meter {
    fn is_new(&self) -> bool {
        *self == Self::default()
    }
}

/// What the workers of a pool can do beyond ComfyUI's own nodes, as one of them said last: known also while none is up.
/// An item of its own, since [`Pool`] is what planners contend for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolNodes {
    /// The pool's name.
    pub pool: PoolId,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// Node classes of custom packs, sorted.
    pub nodes: Vec<String>,
}

/// A worker that a scaling plan is bringing up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartingWorker {
    /// Which worker.
    pub worker_id: WorkerId,
    /// When the plan was won.
    pub since: Millis,
}

/// The names of all pools: one small item, so that the minute tick needs no scan.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolNames {
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// The names.
    pub pools: Vec<PoolId>,
}
