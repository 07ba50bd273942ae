//! The simple forecasters: what all others have to beat.

use crate::{
    members::{Member, Quantiles},
    series::{DAY, HOUR, Series},
};

/// The same hour of yesterday.
pub(crate) struct DayNaive;

impl Member for DayNaive {
    fn name(&self) -> &'static str {
        "day-naive"
    }

    fn predict(&self, series: &Series, at: usize) -> Quantiles {
        Quantiles::point(at.checked_sub(DAY).map_or(0.0, |then| series.hour(then)))
    }
}

/// The same hour a week ago; yesterday's as long as there is no week.
pub(crate) struct WeekNaive;

impl Member for WeekNaive {
    fn name(&self) -> &'static str {
        "week-naive"
    }

    fn predict(&self, series: &Series, at: usize) -> Quantiles {
        match at.checked_sub(7 * DAY) {
            Some(then) => Quantiles::point(series.hour(then)),
            None => DayNaive.predict(series, at),
        }
    }
}

/// The last hours, each slot counting less than the one after it.
pub(crate) struct Ewma;

/// Half of the weight lies on the last half an hour.
const HALF_LIFE: f64 = 6.0;

impl Member for Ewma {
    fn name(&self) -> &'static str {
        "EWMA"
    }

    fn predict(&self, series: &Series, at: usize) -> Quantiles {
        let fade = 0.5_f64.powf(1.0 / HALF_LIFE);
        let from = at.saturating_sub(8 * HOUR);
        let (mut sum, mut weight, mut factor) = (0.0, 0.0, 1.0);
        for value in series.values()[from..at].iter().rev() {
            sum += factor * value;
            weight += factor;
            factor *= fade;
        }
        Quantiles::point(if weight > 0.0 { sum / weight * HOUR as f64 } else { 0.0 })
    }
}

/// Exponential smoothing with a season of a day (Holt-Winters, additive, without a trend, which an hour has no use for).
pub(crate) struct HoltWinters;

const LEVEL: f64 = 0.05;
const SEASON: f64 = 0.25;

impl Member for HoltWinters {
    fn name(&self) -> &'static str {
        "Holt-Winters"
    }

    fn predict(&self, series: &Series, at: usize) -> Quantiles {
        let mut season = vec![0.0; DAY];
        let mut level = 0.0;
        // Three weeks are enough for a season that forgets a quarter a day.
        let from = at.saturating_sub(21 * DAY);
        for (slot, value) in series.values()[from..at].iter().enumerate() {
            let (slot, first) = (slot % DAY, slot < DAY);
            if first {
                // The first day is the season, so that the level need not learn it.
                season[slot] = *value;
                continue;
            }
            let before = level;
            level += LEVEL * (value - before - season[slot]);
            season[slot] += SEASON * (value - level - season[slot]);
        }
        let ahead: f64 = (at - from..at - from + HOUR)
            .map(|slot| level + season[slot % DAY])
            .sum();
        Quantiles::point(ahead)
    }
}

/// The shape of the day, times the level of the last hours.
pub(crate) struct SeasonalLevel;

impl Member for SeasonalLevel {
    fn name(&self) -> &'static str {
        "seasonal x level"
    }

    fn predict(&self, series: &Series, at: usize) -> Quantiles {
        Quantiles::point(series.shape(at, at) * series.level(at))
    }
}
