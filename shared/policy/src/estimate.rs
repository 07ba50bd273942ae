//! How long things take: learned per pool from what finished there, and used for wait, ETA and time limits.

use std::time::Duration;

use model::{Estimate, Estimates, Load, Millis, Settings, guess, storable};

/// Weight of a new sample once there are enough: the last two dozen count.
const NEW: f64 = 0.08;
/// Most models remembered in a pool: its item stays small.
const MODELS: usize = 64;
/// The load is a mean over about this long.
const OVER: Duration = Duration::from_mins(5);
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
    let mean = storable(estimate.mean);
    estimate.mean = storable(mean + weight * (storable(sample) - mean));
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

/// How long a run of this much work is expected to take; never no time at all.
pub fn run(estimates: &Estimates, model: Option<&str>, work: f64) -> Duration {
    let of_model = model.and_then(|model| estimates.per_work.get(model)).copied();
    let expected = match of_model.and_then(learned).or_else(|| learned(estimates.any)) {
        Some(per_work) => guess::Guess {
            per_work,
            ..guess::EXPECTED
        },
        None => guess::EXPECTED,
    };
    expected.time(work).clamp(guess::LEAST_RUN, LONGEST)
}

/// Takes a run that was claimed into the load.
pub fn learn_load(load: &mut Load, gpu_time: Duration, now: Millis) {
    let sum = erlangs(*load, now) + gpu_time.as_secs_f64() / OVER.as_secs_f64();
    load.erlangs = storable(sum.clamp(0.0, 1e4));
    load.at = load.at.max(now);
}

/// The load now, in workers that it keeps busy.
pub fn erlangs(load: Load, now: Millis) -> f64 {
    let since = now.since(load.at).as_secs_f64() / OVER.as_secs_f64();
    storable(load.erlangs.max(0.0) * (-since).exp())
}

/// How long a run takes of which nothing is known; never no time at all.
pub fn any_run(estimates: &Estimates) -> Duration {
    let usual = learned(estimates.run).unwrap_or_else(|| guess::EXPECTED.time(guess::USUAL_WORK));
    usual.clamp(guess::LEAST_RUN, LONGEST)
}

/// How long a machine takes from the decision to start it until it is ready.
pub fn start(estimates: &Estimates) -> Duration {
    let usual = learned(estimates.start).unwrap_or(guess::START);
    usual.clamp(Duration::from_secs(5), Duration::from_mins(15))
}

/// After how long a run is given up: generous, since a run that is interrupted has cost as much as one that is done.
/// Once something was learned, it is a multiple of the expected time; at least the floor.
pub fn limit(estimates: &Estimates, model: Option<&str>, work: f64, settings: &Settings) -> Duration {
    let guessed = settings.run_limit(work);
    if estimates.any.samples == 0 {
        return guessed;
    }
    let expected = run(estimates, model, work).mul_f64(SLACK);
    guessed.min(settings.run_floor.saturating_add(expected))
}

/// The mean, if there is one.
fn learned(estimate: Estimate) -> Option<Duration> {
    let known = estimate.samples > 0 && estimate.mean.is_finite() && estimate.mean >= 0.0;
    known.then(|| Duration::from_secs_f64(storable(estimate.mean).min(LONGEST_MS) / 1000.0))
}

/// A wild sample must not become a wild time.
const LONGEST: Duration = Duration::from_hours(24);
const LONGEST_MS: f64 = 86_400_000.0;
