//! What those who run a studio have done to it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Millis;

/// A line of the audit list: who changed what, when, from what to what. Written with the change, and never again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// When.
    pub at: Millis,
    /// Tells apart what happened in one millisecond.
    pub id: String,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// A user's id; `ops@…` for somebody at the command line.
    pub who: String,
    /// What was done, as `pause starts`.
    pub what: String,
    /// To what, as `pool default`.
    pub on: String,
    /// What of it was to change, as it was.
    pub before: String,
    /// And as it is since.
    pub after: String,
    /// When DynamoDB may delete the item, seconds.
    pub ttl: u64,
}

impl Audit {
    /// How long a line is kept.
    pub const KEPT: Duration = Duration::from_hours(24 * 400);
    /// Longest text in one, bytes.
    pub const TEXT: usize = 400;
}
