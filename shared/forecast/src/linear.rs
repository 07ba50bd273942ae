//! Linear quantile regression on what the last hours, the day and the week say.

use crate::{
    members::{Member, Quantiles},
    series::{DAY, HOUR, Series},
};

/// How many features there are.
pub(crate) const FEATURES: usize = 10;
/// Days that are learned from: what is older is of another time.
pub(crate) const LEARNED: usize = 28 * DAY;
/// The quantiles that are learned.
pub(crate) const QUANTILES: [f64; 2] = [0.5, 0.9];
const STEPS: i32 = 400;

/// Weights for either quantile, and the usual hour that they are relative to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Linear {
    pub(crate) weights: [[f64; FEATURES]; 2],
    pub(crate) scale: f64,
}

/// What is known at `at`, in usual hours.
pub(crate) fn features(series: &Series, at: usize, scale: f64) -> [f64; FEATURES] {
    let then = |slots: usize, or: f64| at.checked_sub(slots).map_or(or, |then| series.hour(then));
    let shape = series.shape(at, at);
    let level = series.level(at);
    let last = series.before(at, HOUR);
    let yesterday = then(DAY, shape);
    [
        scale,
        last,
        series.before(at, 3) * 4.0,
        then(2 * HOUR, last),
        series.before(at, 4 * HOUR) / 4.0,
        yesterday,
        then(7 * DAY, yesterday),
        shape,
        shape * level,
        (last * scale).sqrt(),
    ]
    .map(|it| it / scale)
}

/// The moments that are learned from, every `stride` slots: those whose hour is over before `now`.
pub(crate) fn moments(now: usize, stride: usize) -> impl Iterator<Item = usize> {
    let first = now.saturating_sub(LEARNED).max(DAY);
    (first..now.saturating_sub(HOUR)).step_by(stride)
}

/// How the pinball loss of `quantile` falls with the forecast, smoothed close to the truth.
pub(crate) fn slope(quantile: f64, error: f64) -> f64 {
    const SMOOTH: f64 = 0.05;
    let above = (0.5 + error / (2.0 * SMOOTH)).clamp(0.0, 1.0);
    -(quantile * above + (quantile - 1.0) * (1.0 - above))
}

pub(crate) fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

impl Member for Linear {
    fn name(&self) -> &'static str {
        "linear quantile"
    }

    fn learn(&mut self, series: &Series, now: usize) {
        self.scale = series.usual(now).max(0.1);
        let seen: Vec<_> = moments(now, 3)
            .map(|at| (features(series, at, self.scale), series.hour(at) / self.scale))
            .collect();
        for (weights, quantile) in self.weights.iter_mut().zip(QUANTILES) {
            // What seasonal x level says is where it begins, and where it stays without anything to learn from.
            *weights = [0.0; FEATURES];
            weights[8] = 1.0;
            let (mut mean, mut square) = ([0.0; FEATURES], [0.0; FEATURES]);
            for step in 1..=if seen.is_empty() { 0 } else { STEPS } {
                let mut gradient = [0.0; FEATURES];
                for (known, truth) in &seen {
                    let slope = slope(quantile, truth - dot(weights, known));
                    for (gradient, known) in gradient.iter_mut().zip(known) {
                        *gradient += slope * known / seen.len() as f64;
                    }
                }
                // Adam (Kingma and Ba 2015), with a rate that falls to nothing.
                let rate = 0.03 * (1.0 - f64::from(step) / f64::from(STEPS + 1));
                for at in 0..FEATURES {
                    mean[at] += 0.1 * (gradient[at] - mean[at]);
                    square[at] += 0.01 * (gradient[at] * gradient[at] - square[at]);
                    let mean = mean[at] / (1.0 - 0.9_f64.powi(step));
                    let square: f64 = square[at] / (1.0 - 0.99_f64.powi(step));
                    weights[at] -= rate * mean / (square.sqrt() + 1e-8);
                }
            }
        }
    }

    fn predict(&self, series: &Series, at: usize) -> Quantiles {
        if self.scale <= 0.0 {
            return Quantiles::default();
        }
        let known = features(series, at, self.scale);
        Quantiles {
            p50: dot(&self.weights[0], &known) * self.scale,
            p90: dot(&self.weights[1], &known) * self.scale,
        }
        .ordered()
    }

    fn state(&self) -> Vec<f64> {
        [self.scale].into_iter().chain(self.weights.concat()).collect()
    }

    fn restore(&mut self, state: &[f64]) -> bool {
        let [scale, weights @ ..] = state else { return false };
        let (chunks, rest) = weights.as_chunks::<FEATURES>();
        let ([low, high], []) = (chunks, rest) else {
            return false;
        };
        *self = Self {
            weights: [*low, *high],
            scale: *scale,
        };
        true
    }
}
