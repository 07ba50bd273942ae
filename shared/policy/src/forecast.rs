//! How far a forecast is believed: it may keep and start workers as long as its credit lasts.
//!
//! A worker that is up for the forecast alone spends credit; workers that are up anyway earn it. So a forecast that is
//! right saves waiting, and one that is always wrong costs no more than [`SHARE`] of what there is without it.

use std::time::Duration;

use model::{Band, DemandCount, Forecast, Millis, NextHour, Settings};

use crate::{estimate, reap, snapshot::PoolSnapshot};

/// The share of the machine time used anyway that a wrong forecast may cost.
pub const SHARE: f64 = 0.06;
/// A forecast that has been right for long does not earn the right to be wrong for a whole night.
const MOST: Duration = Duration::from_hours(2);

/// Of what machines can do, what is foreseen may fill so much; the rest is for what nobody foresees.
pub const FULL: f64 = 0.8;
/// Longest time that is settled at once: ticks that did not come earn and spend nothing.
const SETTLED: Duration = Duration::from_mins(2);

/// Looked ahead at least so far: a machine that starts now should find somebody, and not wait for an hour for them.
const AHEAD: usize = 3;

/// Workers that the time asks for in which a machine could be there, and ten minutes more: as many as nine of ten such times
/// fill to [`FULL`], at most `forecast_workers`. None where they ask for nothing. `start`: what one takes to come up.
pub fn asked(hour: Option<&NextHour>, start: Duration, settings: &Settings, now: Millis) -> u32 {
    let Some(hour) = hour.filter(|it| it.from <= now && now < it.until) else {
        return 0;
    };
    let place = |span: Duration| usize::try_from(span.as_secs() / DemandCount::SLOT.as_secs()).unwrap_or(usize::MAX);
    let ahead = AHEAD.max(place(start).saturating_add(3));
    let steps = hour.steps.iter().skip(place(now.since(hour.from))).take(ahead);
    let steps: Vec<_> = steps.collect();
    let arrivals = together(steps.iter().map(|it| it.arrivals));
    let seconds = together(steps.iter().map(|it| it.gpu_s));
    let span = DemandCount::SLOT.as_secs_f64() * steps.len() as f64;
    let erlangs = seconds / span.max(1.0);
    if !erlangs.is_finite() || !arrivals.is_finite() || arrivals < 1.0 {
        return 0;
    }
    let workers = (erlangs / FULL).ceil().clamp(1.0, 1e6) as u32;
    workers.min(settings.forecast_workers)
}

/// The ninth of ten of steps together: what is far out in one is rarely so in the next.
fn together(steps: impl Iterator<Item = Band>) -> f64 {
    let (mut sum, mut square) = (0.0, 0.0);
    for step in steps {
        sum += step.p50;
        square += (step.p90 - step.p50) * (step.p90 - step.p50);
    }
    sum + square.sqrt()
}

/// What the pool should say of the forecast after a look at it: what the next hour asks for, and what its credit has come
/// to. None where that is what it says already.
pub fn looked(snapshot: &PoolSnapshot<'_>, hour: Option<&NextHour>) -> Option<Forecast> {
    let PoolSnapshot {
        pool, settings, now, ..
    } = *snapshot;
    if pool.forecast.is_none() && settings.forecast_workers == 0 {
        return None;
    }
    let before = pool.forecast.unwrap_or_default();
    let start = estimate::start(snapshot.estimates);
    let workers = asked(hour, start, settings, now).min(pool.max_workers);
    let until = hour.filter(|_| workers > 0).map_or(Millis(0), |it| it.until);
    let since = now.since(before.settled_at).min(SETTLED);
    let (anyway, kept) = reap::kept_for_forecast(snapshot);
    let credit_ms = settled(before.credit_ms, since * anyway, since * kept);
    let after = Forecast {
        workers,
        until,
        credit_ms,
        settled_at: now,
    };
    let same = (before.workers, before.until, before.credit_ms) == (workers, until, credit_ms);
    // Between shifts there is nothing to settle; the first look of one settles nothing of before.
    (!same || pool.forecast.is_none()).then_some(after)
}

/// Workers to keep up now: none once the forecast is out of date or out of credit.
pub fn floor(forecast: Option<&Forecast>, now: Millis) -> u32 {
    forecast
        .filter(|it| it.until > now && it.credit_ms > 0)
        .map_or(0, |it| it.workers)
}

/// What a start costs that nobody needed: to come up, to idle, to be looked at twice. Milliseconds of machine time.
pub fn price(start: Duration, settings: &Settings) -> i64 {
    millis(start + settings.idle_blind.max(settings.idle_watched) + 2 * settings.drain_confirm)
}

/// Whether the credit pays for a start.
pub fn affords(forecast: Option<&Forecast>, start: Duration, settings: &Settings) -> bool {
    forecast.is_some_and(|it| it.credit_ms > price(start, settings))
}

/// The credit after some machine time: `earned` by workers that were up anyway, `spent` by those kept for the forecast.
pub fn settled(credit_ms: i64, earned: Duration, spent: Duration) -> i64 {
    let earned = millis(earned.mul_f64(SHARE));
    credit_ms
        .saturating_add(earned)
        .saturating_sub(millis(spent))
        .clamp(-millis(MOST), millis(MOST))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
