//! Who forecasts.

use crate::{
    baseline::{DayNaive, Ewma, HoltWinters, SeasonalLevel, WeekNaive},
    linear::Linear,
    lstm::Lstm,
    series::Series,
};

/// What the next hour asks for: in half of all hours less than `p50`, in nine of ten less than `p90`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// The ninth of ten.
    pub p90: f64,
}

impl Quantiles {
    /// A forecast that knows no spread of its own; the correction gives it one.
    pub fn point(value: f64) -> Self {
        Self { p50: value, p90: value }.ordered()
    }

    /// Never below nothing, no number that is none, and the ninth of ten never below the median.
    #[must_use]
    pub fn ordered(self) -> Self {
        let sane = |value: f64| if value.is_finite() { value.clamp(0.0, 1e9) } else { 0.0 };
        let p50 = sane(self.p50);
        Self {
            p50,
            p90: sane(self.p90).max(p50),
        }
    }
}

/// A forecaster.
pub trait Member {
    /// Its name in tables and metrics.
    fn name(&self) -> &'static str;

    /// Learns from what was before the slot `now`, and from nothing else. Most have nothing to learn.
    fn learn(&mut self, _series: &Series, _now: usize) {}

    /// The hour that begins at `at`, from what was before it.
    fn predict(&self, series: &Series, at: usize) -> Quantiles;

    /// What it has learned, for another run.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Takes what another run has learned; false where that does not fit.
    fn restore(&mut self, state: &[f64]) -> bool {
        state.is_empty()
    }
}

/// All of them, the simplest first. `seed` is for those that learn with chance.
pub fn members(seed: u64) -> Vec<Box<dyn Member>> {
    vec![
        Box::new(DayNaive),
        Box::new(WeekNaive),
        Box::new(Ewma),
        Box::new(HoltWinters),
        Box::new(SeasonalLevel),
        Box::new(Linear::default()),
        Box::new(Lstm::new(seed)),
    ]
}
