//! When a call is kept open because its answer is about to change.
//!
//! The plugin sleeps half a second after *every* answer to `status`, the last one too, so a picture that is seen one
//! poll late is seen half a second late. An open call costs a function's time and a place among those that may run at
//! once, so it is kept only for the short time in which that pays, and only if there is a place for it.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use model::{Lane, Millis, Settings, Task, TaskState, UserId};

/// Most sampling steps of a live picture: the plugin's real-time presets sample with LoRAs for 8 steps or fewer.
const LIVE_STEPS: u32 = 8;

/// Most work of a live picture: its steps at a megapixel and a half each. On a mid-range GPU that is about as long as a
/// call is kept open.
const LIVE_WORK: f64 = 12.0;

/// From this share on, the time a run has taken says how long the rest takes.
const TELLING: f32 = 0.1;

/// Longest time that an answer to `status` is held back. With the plugin's half second of sleep after it, the painter sees
/// a value of progress each second, and no end falls into a gap: an answer that comes earlier than this before the end is
/// followed by one that is held until it.
const LAST_POLL: Duration = Duration::from_millis(450);

/// A status is held back when no more than this is left of its run by its pace, which is known a little late.
const NEAR: Duration = Duration::from_millis(700);

/// Most places for open calls that one painter finds.
const OF_A_PAINTER: u64 = 2;

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

/// How long a submit waits for its picture, if a free worker was told: a live one as long as a call is ever kept open,
/// another one if it is expected in that time, and then not much longer than expected.
pub fn submit(lane: Lane, expected: Option<Duration>, woken: bool, settings: &Settings) -> Duration {
    let longest = settings.hold.min(LONGEST);
    match expected.filter(|expected| *expected < longest) {
        _ if !woken || lane == Lane::Batch => Duration::ZERO,
        _ if lane == Lane::Live => longest,
        Some(expected) => (expected * 3 / 2 + LAST_POLL).min(longest),
        None => Duration::ZERO,
    }
}

/// How long an answer about this task is held back: while the run's own pace says that it is about to end.
pub fn status(task: &Task, settings: &Settings, now: Millis) -> Duration {
    match remaining(task, now) {
        Some(remaining) if remaining < NEAR => settings.hold.min(LAST_POLL),
        _ => Duration::ZERO,
    }
}

/// The places among the open calls that a painter may take, in this order: at most two, so that nobody takes all of them.
/// All places together are a third of what the account may run at once; the other functions have the rest.
pub fn places(painter: &UserId, settings: &Settings) -> impl Iterator<Item = u64> {
    let all = u64::from(settings.concurrency / 3);
    let mut hasher = DefaultHasher::new();
    painter.hash(&mut hasher);
    let first = hasher.finish();
    (0..all.min(OF_A_PAINTER)).map(move |next| first.wrapping_add(next) % all)
}

/// What is left of a run at the pace that it had so far; none while that says nothing.
fn remaining(task: &Task, now: Millis) -> Option<Duration> {
    let run = task.run.as_ref().filter(|_| task.state == TaskState::Running)?;
    let done = run.progress.clamp(0.0, 1.0);
    (done >= TELLING).then(|| now.since(run.claimed_at).mul_f32((1.0 - done) / done))
}
