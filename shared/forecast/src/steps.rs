//! The hour in steps of five minutes.

use crate::{
    members::Quantiles,
    series::{DAY, HOUR, Series},
};

/// Days whose five minutes are looked at.
const DAYS: usize = 21;

/// Parts the forecast of the hour that begins at `at` into its five minutes, as those of the same hour were on the days
/// before. The spread of a part is that of independent parts: its square root. Only the hour's is corrected by what came.
pub fn steps(series: &Series, at: usize, hour: Quantiles) -> [Quantiles; HOUR] {
    // As much as one usual five minutes for each, so that a few days say little.
    let floor = series.usual(at) / HOUR as f64 + 1e-6;
    let asked: [f64; HOUR] = std::array::from_fn(|step| {
        let days = (1..=DAYS).filter_map(|day| (at + step).checked_sub(day * DAY));
        // A quarter of an hour around them: painters are not that punctual.
        days.map(|it| series.sum(it.saturating_sub(1), it + 2) / 3.0)
            .sum::<f64>()
            + floor
    });
    let all: f64 = asked.iter().sum();
    asked.map(|it| {
        let share = it / all;
        let p50 = hour.p50 * share;
        let spread = (hour.p90 - hour.p50) * share.sqrt();
        Quantiles { p50, p90: p50 + spread }.ordered()
    })
}
