//! A policy to be simulated.

use model::{Hazard, NextHour, Settings};

use crate::signals::Signals;

/// How a studio is run: settings and what its clients show.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of an experiment")]
pub struct Case {
    /// Its name in tables.
    pub name: String,
    /// Settings of the policies.
    pub settings: Settings,
    /// What painters' clients show.
    pub signals: Signals,
    /// Whether calls count as presence at all.
    pub presence: bool,
    /// Whether painters' pauses are learned.
    pub learning: bool,
    /// What was known of them before.
    pub hazard: Option<Hazard>,
    /// Workers that a forecast asks for, hour by hour; none: no forecast.
    pub forecast: Option<Vec<u32>>,
    /// What the function `forecast` says, slot by slot; none: nothing.
    pub foreseen: Option<Vec<NextHour>>,
    /// Whether one worker is to be up from then on, whatever is known: milliseconds since the first midnight.
    pub planned: Option<Vec<(u64, bool)>>,
    /// Workers kept up whatever happens, for comparison.
    pub always: u32,
    /// Fair order, loaded models and the best worker to wake; otherwise first come first served by whoever is free.
    pub choosing: bool,
    /// Whether the choice knows which files lie on which disk; otherwise only what is in the GPU.
    pub knows_disks: bool,
    /// Whether machines begin with what is asked for most, in the GPU and on the disk.
    pub warm_up: bool,
    /// Patience, where it differs from the world's.
    pub patience_s: Option<f64>,
}
