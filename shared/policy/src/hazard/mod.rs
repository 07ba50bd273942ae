//! How likely somebody asks in the next minutes, and whether a machine is worth keeping, or starting, for it.
//!
//! A painter's situation is how long ago they asked, how long they have been silent, whether their client reports the
//! canvas, and whether they asked twice in short time. For each situation it is counted how often they ask in the next
//! minute, and how often one who was silent comes back. Painters who ask more often than others in the same situation, and
//! hours of the day in which more is asked, count for more.
//!
//! From that follows how a pool's next half hour will go, and with it what it gains to keep a machine for so many minutes:
//! the start and the wait that a request in that time is spared, less the idling. The machine stays while there is a time
//! for which that is a gain, and is started where it is more than the start costs. So a wait that is worth more never stops a
//! machine sooner.
//!
//! Whoever was at their canvas within the last minute and a half is not weighed: for them a machine is there, as without this rule. And
//! where a painter's client does not report the canvas, the times are fixed: what was learned of requests alone has shown to be
//! worth no more.
//!
//! The same is decided for two machines that exist on paper only, by this rule and by that with fixed times. The rule acts
//! while its machine is the cheaper one, waits included.

mod cell;
mod learn;
mod outlook;
mod painters;

use std::time::Duration;

use model::{Hazard, Millis};

pub use cell::FORMAT;
pub use learn::observed;

use crate::{estimate, presence, price, snapshot::PoolSnapshot};

/// Requests seen before anybody acts on them.
const EVIDENCE: f64 = 60.0;

/// What is known, if it is to be acted on: it can be read, is of enough requests, and would have cost less than the rule
/// with fixed times; and everybody who was here lately has a client that reports the canvas.
fn acting<'a>(snapshot: &PoolSnapshot<'a>) -> Option<&'a Hazard> {
    let watched = presence::all_watched(snapshot.presence, snapshot.now);
    snapshot.hazard.filter(|it| watched && acts(it))
}

/// Whether this is acted on.
pub fn acts(hazard: &Hazard) -> bool {
    hazard.format == FORMAT && evidence(hazard) >= EVIDENCE && hazard.learned.usd < hazard.fixed.usd
}

/// Of how many requests it knows; those of the same minute are one, and what is long ago counts less.
pub fn evidence(hazard: &Hazard) -> f64 {
    hazard.cells.values().chain(&hazard.comers).map(|it| it.asks).sum()
}

/// Whether the first worker is worth keeping at that time, if it is idle until then; none where fixed times decide.
pub fn keeps(snapshot: &PoolSnapshot<'_>, at: Millis) -> Option<bool> {
    Some(is_kept(acting(snapshot)?, snapshot, at))
}

/// Whether a first worker is worth starting though nobody waits; none where fixed times decide.
pub fn starts(snapshot: &PoolSnapshot<'_>) -> Option<bool> {
    Some(is_started(acting(snapshot)?, snapshot, snapshot.now))
}

fn is_kept(hazard: &Hazard, snapshot: &PoolSnapshot<'_>, at: Millis) -> bool {
    let prices = Prices::of(snapshot);
    is_shown(snapshot, at) || outlook::gain(hazard, snapshot, at, prices, 0.0) > 0.0
}

fn is_started(hazard: &Hazard, snapshot: &PoolSnapshot<'_>, at: Millis) -> bool {
    let prices = Prices::of(snapshot);
    is_shown(snapshot, at) || outlook::gain(hazard, snapshot, at, prices, prices.start_minutes) > prices.start()
}

/// Whether somebody whose stay is worth a worker was at their canvas lately: a client reports that once a minute.
fn is_shown(snapshot: &PoolSnapshot<'_>, at: Millis) -> bool {
    const LATELY: Duration = Duration::from_secs(90);
    let mut stays = snapshot.presence.iter();
    stays.any(|stay| at.since(stay.at) < LATELY && presence::keeps_worker(stay, snapshot.settings, at))
}

/// What things cost, dollars.
#[derive(Debug, Clone, Copy)]
struct Prices {
    /// A minute of a machine.
    minute: f64,
    /// How long a start takes, minutes.
    start_minutes: f64,
    /// A painter's wait for a start.
    wait: f64,
}

impl Prices {
    fn of(snapshot: &PoolSnapshot<'_>) -> Self {
        let types = snapshot.workers.iter().rev().find_map(|it| it.instance_type.as_deref());
        let kind = types.or_else(|| snapshot.pool.instance_types.first().map(String::as_str));
        let usd = |micros: model::MicroUsd| micros.0 as f64 / 1e6;
        Self {
            minute: usd(price::hour(Some(snapshot.pool), kind)) / 60.0,
            start_minutes: estimate::start(snapshot.estimates).as_secs_f64() / 60.0,
            wait: usd(snapshot.settings.wait_worth),
        }
    }

    fn start(self) -> f64 {
        self.minute * self.start_minutes
    }
}
