//! What is counted, and what a count is believed to say.

use std::time::Duration;

use model::{Frailty, Hazard, Millis, Painter, Tally};

/// What the numbers of a cell mean. Changes with every change of this file.
pub const FORMAT: u32 = 1;

/// Minutes since the last request, or since the stay began.
const SINCE: [f64; 8] = [1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0];
/// Minutes of silence, of a client that reports the canvas.
const SILENT: [f64; 5] = [1.5, 2.5, 4.0, 7.0, 15.0];
/// A painter who is silent this long, minutes, comes back with a sign.
pub(super) const QUIET: f64 = 1.5;
/// Minutes between the last two requests.
const GAP: [f64; 2] = [2.0, 10.0];
/// Rhythms: nothing asked in this stay; the last gap short, middling, long or unknown.
const RHYTHMS: u16 = 4;

/// What is guessed counts as this many minutes of seeing it.
const GUESSED: f64 = 5.0;
/// What painters of every rhythm do counts as this many minutes of this rhythm.
const ALIKE: f64 = 20.0;
/// A painter or an hour counts as any other, until so many requests show otherwise.
const AVERAGE: f64 = 8.0;

/// As many times as often as others, at least and at most.
pub(super) const LEAST_OFTEN: f64 = 0.25;
pub(super) const MOST_OFTEN: f64 = 4.0;

/// A painter's situation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Situation {
    watched: bool,
    rhythm: u16,
    /// Minutes.
    since: f64,
    /// Minutes.
    pub(super) silent: f64,
}

/// Probabilities of the next minute.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Chances {
    pub(super) asks: f64,
    pub(super) returns: f64,
}

pub(super) fn minutes(time: Duration) -> f64 {
    time.as_secs_f64() / 60.0
}

fn bin(edges: &[f64], value: f64) -> u16 {
    edges.iter().filter(|edge| value >= **edge).count() as u16
}

impl Situation {
    pub(super) fn of(painter: &Painter, at: Millis) -> Self {
        let asked = painter.asked_at.filter(|asked| *asked >= painter.since);
        let gap = painter.gap_ms.map_or(f64::INFINITY, |ms| ms as f64 / 60_000.0);
        Self {
            watched: painter.watched,
            rhythm: asked.map_or(0, |_| 1 + bin(&GAP, gap)),
            since: minutes(at.since(asked.unwrap_or(painter.since))),
            silent: minutes(at.since(painter.at)),
        }
    }

    /// So many minutes later, if nothing has happened.
    pub(super) fn after(self, minutes: f64) -> Self {
        Self {
            since: self.since + minutes,
            silent: self.silent + minutes,
            ..self
        }
    }

    /// If the painter gives a sign now.
    pub(super) fn shown(self) -> Self {
        Self { silent: 0.0, ..self }
    }

    /// The number of its cell.
    pub(super) fn cell(self) -> u16 {
        self.with_rhythm(self.rhythm)
    }

    fn with_rhythm(self, rhythm: u16) -> u16 {
        // Whoever shows only when they ask is as silent as their last request is long ago.
        let silent = if self.watched { bin(&SILENT, self.silent) } else { 0 };
        let row = (u16::from(self.watched) * RHYTHMS + rhythm) * (SINCE.len() as u16 + 1) + bin(&SINCE, self.since);
        row * (SILENT.len() as u16 + 1) + silent
    }

    /// Before anything was seen.
    fn guess(self) -> Chances {
        let asks = if self.rhythm == 0 {
            0.3
        } else {
            0.3 / (1.0 + self.since)
        };
        Chances {
            asks: if self.watched {
                asks / (1.0 + self.silent / 4.0)
            } else {
                asks
            },
            returns: if self.watched {
                0.2 / (1.0 + self.silent / 2.0)
            } else {
                0.02
            },
        }
    }

    /// What painters in this situation do, by what was seen: of their rhythm, where there is enough of it; of every one.
    pub(super) fn chances(self, hazard: &Hazard) -> Chances {
        let tally = |rhythm| hazard.cells.get(&self.with_rhythm(rhythm)).copied().unwrap_or_default();
        // Who has asked for nothing yet is like nobody else.
        let alike = if self.rhythm == 0 {
            Tally::default()
        } else {
            (1..RHYTHMS).map(tally).fold(Tally::default(), sum)
        };
        let wide = shrunk(alike, self.guess(), GUESSED);
        let strength = if self.rhythm == 0 { GUESSED } else { ALIKE };
        shrunk(tally(self.rhythm), wide, strength)
    }
}

fn sum(a: Tally, b: Tally) -> Tally {
    Tally {
        minutes: a.minutes + b.minutes,
        asks: a.asks + b.asks,
        returns: a.returns + b.returns,
    }
}

/// What was seen, with what is believed otherwise as so many minutes of it.
pub(super) fn shrunk(seen: Tally, believed: Chances, strength: f64) -> Chances {
    let minutes = amount(seen.minutes) + strength;
    Chances {
        asks: ((amount(seen.asks) + believed.asks * strength) / minutes).clamp(0.0, 1.0),
        returns: ((amount(seen.returns) + believed.returns * strength) / minutes).clamp(0.0, 1.0),
    }
}

/// How many times as often as others.
pub(super) fn times(frailty: Frailty) -> f64 {
    ((amount(frailty.asks) + AVERAGE) / (amount(frailty.expected) + AVERAGE)).clamp(LEAST_OFTEN, MOST_OFTEN)
}

/// A table may hold anything.
fn amount(number: f64) -> f64 {
    if number.is_finite() {
        number.clamp(0.0, 1e12)
    } else {
        0.0
    }
}

/// The hour of the day, UTC.
pub(super) fn hour(at: Millis) -> usize {
    usize::try_from(at.0 / 3_600_000 % 24).unwrap_or_default()
}
