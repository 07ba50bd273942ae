//! How far a forecast is believed: it may keep and start workers as long as its credit lasts.
//!
//! A worker that is up for the forecast alone spends credit; workers that are up anyway earn it. So a forecast that is
//! right saves waiting, and one that is always wrong costs no more than [`SHARE`] of what there is without it.

use std::time::Duration;

use model::{Forecast, Millis, Settings};

/// The share of the machine time used anyway that a wrong forecast may cost.
pub const SHARE: f64 = 0.06;
/// A forecast that has been right for long does not earn the right to be wrong for a whole night.
const MOST: Duration = Duration::from_hours(2);

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
