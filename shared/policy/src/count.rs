//! What a task adds to the counts of what is asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use model::{DemandCount, DemandDay, Millis, Task};

/// Most painters of five minutes that are told apart.
const PAINTERS: usize = 500;
/// Most models that are remembered of five minutes, or of a day.
const MODELS: usize = 16;
/// No run is believed to have taken longer: a clock was wrong.
const LONGEST: Duration = Duration::from_hours(24);
/// A clock may be so far ahead.
const AHEAD: Duration = Duration::from_mins(5);

/// In which five minutes a task counts: those in which it was submitted. None for one that is not over, and for one of a
/// time that cannot be.
pub fn slot(task: &Task, now: Millis) -> Option<Millis> {
    let at = task.created;
    let believable = at <= now + AHEAD && now.since(at) < DemandCount::KEPT;
    (task.state.is_terminal() && believable).then(|| DemandCount::began(at))
}

/// Worker time that a task took, the runs included that ended at a limit.
pub fn gpu_time(task: &Task) -> Duration {
    let run = match (task.claimed_at, task.ended_at) {
        (Some(from), Some(to)) => to.since(from),
        _ => Duration::ZERO,
    };
    (run.saturating_add(Duration::from_millis(task.unpaid_ms))).min(LONGEST)
}

/// Adds a task to the counts of its five minutes.
pub fn add(count: &mut DemandCount, task: &Task) {
    count.arrivals = count.arrivals.saturating_add(1);
    count.gpu_ms = count.gpu_ms.saturating_add(millis(gpu_time(task)));
    if count.painters.len() < PAINTERS {
        count.painters.insert(mark(task.owner.as_str()));
    }
    if let Some(model) = &task.model {
        more(&mut count.models, model, 1);
    }
}

/// The sums of the counts of a day, whatever else is among them.
pub fn day(counts: &[DemandCount], began: Millis) -> DemandDay {
    let mut day = DemandDay {
        at: began,
        ..DemandDay::default()
    };
    let mut painters: BTreeSet<u32> = BTreeSet::new();
    for count in counts.iter().filter(|it| it.at.day_began() == began) {
        day.pool.clone_from(&count.pool);
        day.arrivals = day.arrivals.saturating_add(count.arrivals);
        day.gpu_ms = day.gpu_ms.saturating_add(count.gpu_ms);
        painters.extend(&count.painters);
        for (model, times) in &count.models {
            more(&mut day.models, model, *times);
        }
    }
    day.painters = painters.len() as u64;
    day
}

/// One more, or so many; the least asked for gives way.
fn more(models: &mut BTreeMap<String, u64>, model: &str, times: u64) {
    let sum = models.entry(model.to_owned()).or_default();
    *sum = sum.saturating_add(times);
    if models.len() > MODELS {
        let others = models.iter().filter(|(name, _)| *name != model);
        let least = others.min_by_key(|(_, times)| **times).map(|(name, _)| name.clone());
        if let Some(least) = least {
            models.remove(&least);
        }
    }
}

/// A painter's id as a number (FNV-1a): enough to count heads, and no name.
fn mark(id: &str) -> u32 {
    id.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
