//! The goals of machine time, and what forbids those that are missed.

use std::time::Duration;

use model::{MicroUsd, Settings};
use serde::Serialize;

use crate::{
    cases::ours,
    clairvoyant::clairvoyant,
    demand::Demand,
    engine::{Case, run},
    goals::is_small,
    hindsight::{Fit, Past},
    minutes::Side,
    signals::Signals,
    world::World,
};

/// What a wait is worth to the rules in hindsight, minutes of a machine.
const WAITS: [f64; 18] = [
    1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.5, 11.0, 13.0, 15.0, 18.0, 22.0, 28.0, 35.0, 60.0, 120.0,
];

/// Dollars that an avoided wait is worth, thousandths.
const WORTHS: [u64; 8] = [50, 75, 100, 130, 160, 200, 250, 400];

/// A goal, what ours does, and what the best rule does that sees as much.
#[derive(Debug, Clone, Serialize)]
pub struct Bound {
    /// Which painters.
    pub what: &'static str,
    /// GPU hours in 30 days, at most.
    pub hours_month: f64,
    /// Time-outs, percent, at most.
    pub timeouts_pct: f64,
    /// Ours, with the default settings.
    pub ours: Side,
    /// The same at other prices of a wait.
    pub worths: Vec<Side>,
    /// Fixed times, shorter and longer.
    pub fixed: Vec<Side>,
    /// The rules that know how this demand goes on from what clients show, from the dearest wait to the cheapest.
    pub by_signs: Vec<Side>,
    /// The same of rules that know the hour of the day, too.
    pub by_hours: Vec<Side>,
    /// The rules that know how it goes on on other days than the one that they are judged by.
    pub by_other_days: Vec<Side>,
    /// Of somebody who knows all requests.
    pub clairvoyant_hours: f64,
}

impl Bound {
    /// The fewest hours with which these keep to the goal's time-outs; on some days by one rule and on others by another, if
    /// that is better. None if they cannot.
    pub fn hours_at_goal(&self, sides: &[Side]) -> Option<f64> {
        let keeps = |it: &&Side| it.timeouts_pct <= self.timeouts_pct;
        let mixed = |good: &Side| {
            let others = sides.iter().filter(|it| !keeps(it));
            let mixed = others.map(|other| {
                let share = (self.timeouts_pct - good.timeouts_pct) / (other.timeouts_pct - good.timeouts_pct);
                good.hours_month + share * (other.hours_month - good.hours_month)
            });
            mixed.fold(good.hours_month, f64::min)
        };
        sides.iter().filter(keeps).map(mixed).reduce(f64::min)
    }

    /// Whether ours meets the goal.
    pub fn is_met(&self) -> bool {
        self.ours.hours_month <= self.hours_month && self.ours.timeouts_pct <= self.timeouts_pct
    }
}

/// Every goal of machine time for this demand.
pub fn all(demand: &Demand, world: &World) -> Vec<Bound> {
    let best = clairvoyant(demand, world).feasible_h * 30.0 / demand.days as f64;
    let goals: &[(&str, Signals, f64, f64)] = if is_small(demand) {
        &[
            ("presence with pauses", Signals::Canvas, 100.0, 0.5),
            ("presence at start only", Signals::Start, 125.0, 1.5),
            ("no signal", Signals::None, 130.0, 10.0),
        ]
    } else {
        &[("presence with pauses", Signals::Canvas, 1.3 * best, 0.3)]
    };
    let bound = |&(what, signals, hours_month, timeouts_pct)| Bound {
        what,
        hours_month,
        timeouts_pct,
        ours: Side::of(&run(demand, world, &ours(what, signals)), demand, world, None),
        worths: worths(demand, world, signals),
        fixed: fixed(demand, world, signals),
        by_signs: rules(demand, world, signals, false, Fit::Same),
        by_hours: rules(demand, world, signals, true, Fit::Same),
        by_other_days: rules(demand, world, signals, false, Fit::Others),
        clairvoyant_hours: best,
    };
    goals.iter().map(bound).collect()
}

/// Ours at each price of a wait.
fn worths(demand: &Demand, world: &World, signals: Signals) -> Vec<Side> {
    let worth = |thousandths: &u64| {
        let mut case = ours("at another price", signals);
        case.settings.wait_worth = MicroUsd(thousandths * 1000);
        Side::of(&run(demand, world, &case), demand, world, None)
    };
    WORTHS.iter().map(worth).collect()
}

/// Fixed times, the time for which a sign counts and that of idling without any.
fn fixed(demand: &Demand, world: &World, signals: Signals) -> Vec<Side> {
    let side = |minutes: &u64| {
        let mut case = ours("fixed times", signals);
        case.learning = false;
        if signals == Signals::Canvas {
            case.settings.presence = Duration::from_mins(*minutes);
        } else {
            case.settings.idle_blind = Duration::from_mins(*minutes);
        }
        Side::of(&run(demand, world, &case), demand, world, None)
    };
    let minutes: &[u64] = if signals == Signals::Canvas {
        &[1, 2, 3, 5, 8]
    } else {
        &[2, 5, 10, 15, 20]
    };
    minutes.iter().map(side).collect()
}

fn rules(demand: &Demand, world: &World, signals: Signals, hours: bool, fit: Fit) -> Vec<Side> {
    let past = Past::of(demand, world, signals, hours);
    let rule = |wait: &f64| {
        let case = Case {
            planned: Some(past.schedule(*wait, fit)),
            presence: false,
            learning: false,
            settings: Settings {
                idle_stop: Duration::from_hours(24 * 400),
                idle_blind: Duration::ZERO,
                drain_confirm: Duration::ZERO,
                ..Settings::default()
            },
            ..ours("in hindsight", signals)
        };
        Side::of(&run(demand, world, &case), demand, world, None)
    };
    WAITS.iter().rev().map(rule).collect()
}
