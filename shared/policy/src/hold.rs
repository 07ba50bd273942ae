//! When a call is kept open because its answer is about to change.
//!
//! The plugin sleeps half a second after *every* answer to `status`, the last one too, so a picture that is seen one
//! poll late is seen half a second late. An open call costs a function's time and a place among those that may run at
//! once, so it is kept only for the short time in which that pays.

use std::time::Duration;

use model::{Lane, Millis, Settings, Task, TaskState};

/// Most sampling steps of a live picture: the plugin's real-time presets sample with LoRAs for 8 steps or fewer.
const LIVE_STEPS: u32 = 8;

/// Most work of a live picture: its steps at a megapixel and a half each. On a mid-range GPU that is about as long as a
/// call is kept open.
const LIVE_WORK: f64 = 12.0;

/// From this share on, the time a run has taken says how long the rest takes.
const TELLING: f32 = 0.1;

/// However it is set, no call is kept open longer: the functions have 10 s, API Gateway 30.
const LONGEST: Duration = Duration::from_secs(8);

/// How urgent a request is: one picture of few steps and little work is a brush stroke in live mode, or as quickly done
/// as one. An upscale has no steps, but much work.
pub fn lane(pictures: u32, steps: u32, work: f64) -> Lane {
    if pictures == 1 && steps <= LIVE_STEPS && work <= LIVE_WORK {
        Lane::Live
    } else {
        Lane::Interactive
    }
}

/// How long a submit waits for its picture: only in the live lane, and only if a free worker was told.
pub fn submit(lane: Lane, woken: bool, settings: &Settings) -> Duration {
    if lane == Lane::Live && woken {
        settings.hold.min(LONGEST)
    } else {
        Duration::ZERO
    }
}

/// How long an answer about this task is held back: while the run's own pace says that it ends in that time.
pub fn status(task: &Task, settings: &Settings, now: Millis) -> Duration {
    let hold = settings.hold.min(LONGEST);
    match remaining(task, now) {
        Some(remaining) if remaining < hold => hold,
        _ => Duration::ZERO,
    }
}

/// What is left of a run at the pace that it had so far; none while that says nothing.
fn remaining(task: &Task, now: Millis) -> Option<Duration> {
    let run = task.run.as_ref().filter(|_| task.state == TaskState::Running)?;
    let done = run.progress.clamp(0.0, 1.0);
    (done >= TELLING).then(|| now.since(run.claimed_at).mul_f32((1.0 - done) / done))
}
