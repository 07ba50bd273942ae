//! Users who have just been put out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Millis, UserId};

/// That a user, or a device of theirs, is out since a moment, and that their sockets are to be closed: one item of Pools, in a
/// partition with all others, written with what puts them out. Whoever puts them out closes what is open; the tick closes what
/// was missed, and forgets this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// Who.
    pub who: UserId,
    /// Since when.
    pub at: Millis,
    /// Tells apart what happened in one millisecond.
    pub id: String,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// When DynamoDB may delete the item, seconds.
    pub ttl: u64,
}

impl Leaving {
    /// How long it is looked for sockets: indexes are late, and a `$connect` may have been under way.
    pub const LOOKED: Duration = Duration::from_mins(3);

    /// Since this moment.
    pub fn new(who: UserId, at: Millis, id: String) -> Self {
        Self {
            who,
            at,
            id,
            version: 0,
            ttl: (at + Duration::from_hours(24)).seconds(),
        }
    }
}
