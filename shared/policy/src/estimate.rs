//! How long things take: learned per pool from what finished there, and used for wait, ETA and time limits.

use std::time::Duration;

use model::{Estimate, Estimates, Load, Millis, Settings};

/// Weight of a new sample once there are enough: the last two dozen count.
const NEW: f64 = 0.08;
/// Most models remembered in a pool: its item stays small.
const MODELS: usize = 64;
/// Before anything was learned: a mid-range GPU at a step of one megapixel.
const FIRST_PER_WORK_MS: f64 = 180.0;
const FIRST_RUN_MS: f64 = 6_000.0;
const FIRST_START_MS: f64 = 120_000.0;
/// What a run may take beyond what it is expected to.
const SLACK: f64 = 10.0;

/// Takes a sample. What no clock can have measured is ignored.
pub fn learn(estimate: &mut Estimate, sample: f64) {
    if !sample.is_finite() || sample < 0.0 {
        return;
    }
    estimate.samples = estimate.samples.saturating_add(1);
    // The first samples count evenly, so that the start does not depend on one of them.
    let weight = NEW.max(1.0 / f64::from(estimate.samples));
    let mean = if estimate.mean.is_finite() { estimate.mean } else { 0.0 };
    estimate.mean = mean + weight * (sample - mean);
}

/// Takes what a finished run shows.
pub fn learn_run(estimates: &mut Estimates, model: Option<&str>, work: f64, took: Duration) {
    let ms = took.as_secs_f64() * 1000.0;
    learn(&mut estimates.run, ms);
    if work.is_finite() && work > 0.0 {
        learn(&mut estimates.any, ms / work);
        let known = model.is_some_and(|model| estimates.per_work.contains_key(model));
        if let Some(model) = model.filter(|_| known || estimates.per_work.len() < MODELS) {
            learn(estimates.per_work.entry(model.to_owned()).or_default(), ms / work);
        }
    }
}

/// How long a run of this much work is expected to take.
pub fn run(estimates: &Estimates, model: Option<&str>, work: f64) -> Duration {
    let work = if work.is_finite() { work.clamp(0.0, 1e6) } else { 0.0 };
    let model = model.and_then(|model| estimates.per_work.get(model)).copied();
    let per_work = model.filter(|it| it.samples > 0).map_or_else(
        || mean(estimates.any, FIRST_PER_WORK_MS),
        |it| mean(it, FIRST_PER_WORK_MS),
    );
    millis(work * per_work)
}

/// Takes a run that was claimed into the load.
pub fn learn_load(load: &mut Load, gpu_time: Duration, now: Millis) {
    load.erlangs = (erlangs(*load, now) + gpu_time.as_secs_f64() / OVER.as_secs_f64()).clamp(0.0, 1e4);
    load.at = load.at.max(now);
}

/// The load now, in workers that it keeps busy.
pub fn erlangs(load: Load, now: Millis) -> f64 {
    let since = now.since(load.at).as_secs_f64() / OVER.as_secs_f64();
    if load.erlangs.is_finite() {
        load.erlangs.max(0.0) * (-since).exp()
    } else {
        0.0
    }
}

/// The load is a mean over about this long.
const OVER: Duration = Duration::from_mins(5);

/// How long a run takes of which nothing is known.
pub fn any_run(estimates: &Estimates) -> Duration {
    millis(mean(estimates.run, FIRST_RUN_MS))
}

/// How long a machine takes from the decision to start it until it is ready.
pub fn start(estimates: &Estimates) -> Duration {
    millis(mean(estimates.start, FIRST_START_MS)).clamp(Duration::from_secs(5), Duration::from_mins(15))
}

/// After how long a run is given up: generous, since a run that is interrupted has cost as much as one that is done.
/// Once something was learned, it is a multiple of the expected time; at least the floor.
pub fn limit(estimates: &Estimates, model: Option<&str>, work: f64, settings: &Settings) -> Duration {
    if estimates.any.samples == 0 {
        return settings.run_limit(work);
    }
    settings
        .run_limit(work)
        .min(settings.run_floor + run(estimates, model, work).mul_f64(SLACK))
}

fn mean(estimate: Estimate, first: f64) -> f64 {
    if estimate.samples > 0 && estimate.mean.is_finite() && estimate.mean >= 0.0 {
        estimate.mean
    } else {
        first
    }
}

fn millis(ms: f64) -> Duration {
    Duration::from_secs_f64((ms / 1000.0).clamp(0.0, 86_400.0))
}
