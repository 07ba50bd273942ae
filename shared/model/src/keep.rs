//! How long pictures are kept beyond the days in which every result is there.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Millis, TeamId};

const DAY: Duration = Duration::from_hours(24);

/// How long pictures are kept. What has an end is a place in the bucket whose objects the bucket itself ends by then.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Keep {
    /// No longer than every result.
    #[default]
    #[serde(rename = "nothing")]
    Nothing,
    /// For 30 days.
    #[serde(rename = "30d")]
    Month,
    /// For 90 days.
    #[serde(rename = "90d")]
    Quarter,
    /// For 365 days.
    #[serde(rename = "365d")]
    Year,
    /// Until somebody deletes them.
    #[serde(rename = "always")]
    Always,
}

impl Keep {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Nothing, Self::Month, Self::Quarter, Self::Year, Self::Always];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Month => "30d",
            Self::Quarter => "90d",
            Self::Year => "365d",
            Self::Always => "always",
        }
    }

    /// After this time the bucket ends what is kept so; none if it does not.
    pub const fn life(self) -> Option<Duration> {
        match self {
            Self::Nothing => Some(Duration::ZERO),
            Self::Month => Some(DAY.saturating_mul(30)),
            Self::Quarter => Some(DAY.saturating_mul(90)),
            Self::Year => Some(DAY.saturating_mul(365)),
            Self::Always => None,
        }
    }
}

/// What was decided of a task's pictures, by its painter or by the team's rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// How long they are kept. [`Keep::Nothing`]: the painter has said that they are not, and no rule keeps them again.
    pub how: Keep,
    /// Since when.
    pub at: Millis,
}

/// How long a team's pictures are kept where their painters say nothing: `keep#<team>` in Accounts. Written only where an
/// operator has said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepRule {
    /// Whose.
    #[serde(rename = "keeps")]
    pub team: TeamId,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// How long.
    pub keep: Keep,
}
