//! Pauses a pool's automatic starts when machines do not come up: a circuit breaker over the last launches.
//!
//! No capacity is not a failure: it is nobody's fault and passes by itself.

use std::time::Duration;

use model::{Breaker, BreakerForce, LaunchOutcome, Millis, Settings, Told};
use serde::Serialize;

/// The sliding window: this many outcomes, none older than [`WINDOW`].
const OUTCOMES: usize = 20;
const WINDOW: Duration = Duration::from_hours(24);
/// One failure alone is no pattern.
const LEAST_FAILURES: usize = 2;

/// Whether something may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Yes.
    Closed,
    /// One, to see whether it works again.
    Probe,
    /// No.
    Open,
}

/// Whether something may be started now.
pub fn verdict(breaker: &Breaker, settings: &Settings, now: Millis) -> Verdict {
    match (breaker.forced, breaker.opened_at) {
        (Some(BreakerForce::Open), _) => Verdict::Open,
        (Some(BreakerForce::Closed), _) | (None, None) => Verdict::Closed,
        (None, Some(opened)) => {
            let tried = breaker.probed_at.map_or(opened, |probed| probed.max(opened));
            if now.since(tried) >= settings.breaker_pause {
                Verdict::Probe
            } else {
                Verdict::Open
            }
        }
    }
}

/// What to tell those who wait while nothing may be started.
pub fn paused(breaker: &Breaker, settings: &Settings, now: Millis) -> Option<&'static str> {
    (verdict(breaker, settings, now) == Verdict::Open).then_some(match breaker.forced {
        Some(_) => "Your studio has paused its machines. Your picture stays in line.",
        None => {
            "Machines do not come up at the moment; one is tried every few minutes. Your picture stays in line. \
             If this goes on, tell your studio's operator."
        }
    })
}

/// Whether somebody who has waited since then was told these words, and nothing has happened since.
pub fn was_told(breaker: &Breaker, words: &str, since: Millis) -> bool {
    breaker
        .told
        .as_ref()
        .is_some_and(|told| told.words == words && since <= told.at)
}

/// Notes that everybody who waits is told these words.
pub fn tell(breaker: &mut Breaker, words: &str, now: Millis) {
    breaker.told = Some(Told {
        words: words.to_owned(),
        at: now,
    });
}

/// An operator decides what holds; without a decision what failed up to now is forgotten.
pub fn force(breaker: &mut Breaker, forced: Option<BreakerForce>) {
    match forced {
        Some(_) => breaker.forced = forced,
        None => *breaker = Breaker::default(),
    }
}

/// Notes that a start is tried. Should it fail, that is news.
pub fn probing(breaker: &mut Breaker, now: Millis) {
    breaker.probed_at = Some(now);
    breaker.told = None;
}

/// How many of the window's outcomes are failures, percent; one alone is none.
pub fn failed_share(breaker: &Breaker) -> f64 {
    let failures = breaker.outcomes.iter().filter(|it| !it.ok).count();
    if failures < LEAST_FAILURES {
        return 0.0;
    }
    failures as f64 * 100.0 / breaker.outcomes.len() as f64
}

/// Notes what became of a launch. It opens when more than a tenth of the window failed; one that worked closes it.
pub fn record(breaker: &mut Breaker, ok: bool, now: Millis) {
    if ok && breaker.opened_at.is_some() {
        breaker.outcomes.clear();
        breaker.opened_at = None;
        breaker.probed_at = None;
    }
    breaker.outcomes.retain(|it| now.since(it.at) < WINDOW);
    breaker.outcomes.push(LaunchOutcome { at: now, ok });
    let extra = breaker.outcomes.len().saturating_sub(OUTCOMES);
    breaker.outcomes.drain(..extra);
    let failures = breaker.outcomes.iter().filter(|it| !it.ok).count();
    if !ok && failures >= LEAST_FAILURES && failures * 10 > breaker.outcomes.len() {
        breaker.opened_at = Some(now);
    }
}
