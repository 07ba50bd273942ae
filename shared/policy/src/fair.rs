//! Start-time fair queueing: each user's tasks of a lane are one flow of a pool, and flows share its GPU time.
//!
//! After Goyal, Vin and Cheng, "Start-time fair queueing", SIGCOMM 1996: a task starts at the later of the virtual time
//! and its flow's last finish, and finishes after its length divided by the flow's weight. Virtual time is the start tag
//! of the task claimed last, so a flow that was idle begins at the present and has earned no credit.

use std::time::Duration;

use model::{BacklogEntry, Lane, TaskId};

/// Units of virtual time in one millisecond of GPU time at weight one: fine enough for every weight.
pub const UNITS_PER_MS: u64 = 16;

/// Longest task that counts: a wild estimate must not push a flow out of sight.
const LONGEST: Duration = Duration::from_hours(1);

/// A task's tags, in units of virtual time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tags {
    /// The task's place in line: smaller is earlier.
    pub start: u64,
    /// Where the flow's next task starts at the earliest: kept with the user.
    pub finish: u64,
}

/// A lane's share against the others, while all have work.
pub const fn weight(lane: Lane) -> u64 {
    match lane {
        Lane::Live => 16,
        Lane::Interactive => 4,
        Lane::Batch => 1,
    }
}

/// This much GPU time of one flow, in units of virtual time. At least one unit, so that tags of a flow rise.
pub fn length(gpu_time: Duration, lane: Lane) -> u64 {
    let ms = u64::try_from(gpu_time.min(LONGEST).as_millis()).unwrap_or(u64::MAX);
    (ms.saturating_mul(UNITS_PER_MS) / weight(lane)).max(1)
}

/// Tags of a new task. `last_finish`: its flow's finish tag, if it has asked before.
pub fn tags(virtual_time: u64, last_finish: Option<u64>, estimate: Duration, lane: Lane) -> Tags {
    let start = virtual_time.max(last_finish.unwrap_or(0));
    Tags {
        start,
        finish: start.saturating_add(length(estimate, lane)),
    }
}

/// Virtual time after a task with this start tag was claimed, if that moves it.
pub fn advanced(virtual_time: u64, claimed_start: u64) -> Option<u64> {
    (claimed_start > virtual_time).then_some(claimed_start)
}

/// The fair order: of those with the same start tag the batch lane is last, then who came first is first.
pub fn order(entry: &BacklogEntry) -> (u64, bool, TaskId) {
    (entry.start_tag, entry.lane == Lane::Batch, entry.task_id)
}
