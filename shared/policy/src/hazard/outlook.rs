//! The next half hour, minute by minute, and what a machine is worth in it.

use model::{Hazard, Millis, Painter};

use crate::snapshot::PoolSnapshot;

use super::{
    Prices,
    cell::{Chances, LEAST_OFTEN, MOST_OFTEN, QUIET, Situation, hour, shrunk, times},
    painters::known,
};

/// Minutes looked ahead: none stays idle for longer.
const AHEAD: u32 = 30;
/// A painter whose picture begins this late, minutes, has waited as for a start.
const PATIENCE: f64 = 1.0;
/// One who was not here for an hour, before anything was seen of them.
const COMER: Chances = Chances {
    asks: 0.002,
    returns: 0.002,
};
/// What is guessed of them counts as this many minutes of seeing it.
const GUESSED: f64 = 60.0;

/// What is gained at best by having a machine from `ready_in` minutes on, for as long as it pays, dollars: what the next
/// request, or the return of somebody who was silent, is spared by it, less the idling until then. Never below zero.
pub(super) fn gain(hazard: &Hazard, snapshot: &PoolSnapshot<'_>, at: Millis, prices: Prices, ready_in: f64) -> f64 {
    // Half an hour without a request ends what a stay is worth.
    let asks = |painter: &&Painter| {
        let asked = painter.asked_at.unwrap_or(painter.since).max(painter.since);
        at.since(asked) < snapshot.settings.idle_stop
    };
    let painters: Vec<_> = known(hazard, snapshot)
        .iter()
        .filter(asks)
        .map(|painter| (Situation::of(painter, at), times(painter.frailty)))
        .collect();
    let of_hour = hazard.hours.get(hour(at)).copied().map_or(1.0, times);
    let comers = hazard.comers.get(hour(at)).copied().unwrap_or_default();
    let comers = shrunk(comers, COMER, GUESSED);
    let (mut still, mut sum, mut best) = (1.0, 0.0, 0.0_f64);
    for minute in 0..AHEAD {
        let minute = f64::from(minute);
        // No request, no return, and what returns are followed by.
        let (mut no_ask, mut no_return, mut soon) = (1.0 - comers.asks, 1.0 - comers.returns, 0.0);
        for (situation, often) in &painters {
            let then = situation.after(minute);
            let chances = then.chances(hazard);
            let often = (often * of_hour).clamp(LEAST_OFTEN, MOST_OFTEN);
            no_ask *= 1.0 - (chances.asks * often).min(1.0);
            if then.silent >= QUIET {
                no_return *= 1.0 - chances.returns;
                let asks = (then.shown().chances(hazard).asks * often).min(1.0);
                let before_start = 1.0 - (1.0 - asks).powf(prices.start_minutes.clamp(0.0, 60.0));
                soon = before_start.max(soon);
            }
        }
        let (asks, returns) = (1.0 - no_ask, no_ask * (1.0 - no_return));
        let in_time = if minute + PATIENCE >= ready_in {
            prices.wait
        } else {
            0.0
        };
        let idling = prices.minute * (minute + 1.0 - ready_in).clamp(0.0, 1.0);
        sum += still
            * (asks * (prices.start() + in_time) + returns * (prices.start() + in_time * soon)
                - idling * (1.0 - f64::midpoint(asks, returns)));
        best = best.max(sum);
        still *= no_ask * no_return;
    }
    best
}
