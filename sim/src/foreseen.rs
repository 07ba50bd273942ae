//! The hourly forecast as it ships, learning from a demand's past alone; and what it is worth.

use forecast::{Count, DAY, HOUR, Trial, clean, next_hour, say, slot};
use model::{DemandCount, Millis, NextHour, Settings};
use serde::Serialize;

use crate::{
    cases::{OURS, compare, ours},
    demand::Demand,
    engine::{Case, MIDNIGHT, run},
    minutes::{Side, other},
    signals::Signals,
    stats::Report,
    world::World,
};

/// Learning begins with the same chance each time.
const SEED: u64 = 1;

/// What is said every five minutes of the demand, from what was before, as the function `forecast` does it: it learns once a
/// day. Takes a second or two for each day.
pub fn foreseen(demand: &Demand, world: &World) -> Vec<NextHour> {
    let span = DemandCount::SLOT.as_millis() as u64;
    let first = MIDNIGHT / span;
    let slots = usize::try_from(demand.days).unwrap_or_default() * DAY;
    let (mut arrivals, mut gpu_s) = (vec![0.0; slots], vec![0.0; slots]);
    let usual = f64::midpoint(world.picture_s.0, world.picture_s.1) * world.service_factor;
    for request in &demand.requests {
        if let Some(at) = usize::try_from(request.at / span).ok().filter(|it| *it < slots) {
            arrivals[at] += 1.0;
            gpu_s[at] += world.overhead_s + usual * request.work / 30.0;
        }
    }
    // As the tables have them: nothing stands where nothing was asked for.
    let counts = |values: &[f64]| -> Vec<Count> {
        let counted = values.iter().enumerate().filter(|(_, value)| **value > 0.0);
        counted
            .map(|(at, value)| Count {
                slot: first + at as u64,
                value: *value,
            })
            .collect()
    };
    let mut series = [
        (counts(&arrivals), Trial::new(SEED)),
        (counts(&gpu_s), Trial::new(SEED)),
    ];
    let mut hours = Vec::with_capacity(slots);
    for at in 0..slots {
        let now = Millis(MIDNIGHT + at as u64 * span);
        let said = series.each_mut().map(|(counts, trial)| {
            let known = counts.partition_point(|it| it.slot < slot(now));
            let series = clean(&counts[..known], slot(now)).series;
            if series.is_empty() {
                return forecast::Said::default();
            }
            if at % DAY == 0 {
                trial.learn(&series, series.len());
            }
            // Nobody is judged before anything was learned.
            if at < DAY {
                return forecast::Said::default();
            }
            say(trial, &series, at % DAY >= DAY - HOUR)
        });
        hours.push(next_hour(&said[0], &said[1], now));
    }
    hours
}

/// What was said of an hour, and what came.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    /// The five minutes with which it begins, since the demand's first midnight.
    pub slot: u64,
    /// The median of requests.
    pub p50: f64,
    /// The ninth of ten.
    pub p90: f64,
    /// Requests that came.
    pub came: f64,
}

/// What was said of requests from the day on that somebody acted, as far as it is known what came.
pub fn told(demand: &Demand, hours: &[NextHour]) -> Vec<Told> {
    const SLOT_MS: u64 = DemandCount::SLOT.as_millis() as u64;
    let before = |at: u64| demand.requests.partition_point(|it| it.at < at);
    let known = hours.len().saturating_sub(HOUR);
    let acted = hours
        .iter()
        .take(known)
        .enumerate()
        .filter(|(_, it)| it.acting.is_some());
    let each = acted.map(|(slot, it)| {
        let slot = slot as u64;
        Told {
            slot,
            p50: it.arrivals.p50,
            p90: it.arrivals.p90,
            came: (before((slot + HOUR as u64) * SLOT_MS) - before(slot * SLOT_MS)) as f64,
        }
    });
    each.collect()
}

/// Ours, with so many workers at most that the forecast keeps up.
pub fn learned(name: &str, signals: Signals, hours: Vec<NextHour>) -> Case {
    let plain = ours(name, signals);
    Case {
        foreseen: Some(hours),
        settings: Settings {
            forecast_workers: 2,
            ..plain.settings.clone()
        },
        ..plain
    }
}

/// Each signal, without and with the forecast that learns, and with that of another time: half a day late.
pub fn all(demand: &Demand, world: &World, hours: &[NextHour]) -> Vec<Report> {
    let mut late = hours.to_vec();
    late.rotate_right(DAY / 2);
    for (late, hour) in late.iter_mut().zip(hours) {
        (late.from, late.until) = (hour.from, hour.until);
    }
    let signals = [
        (OURS, Signals::Canvas),
        ("presence at start only", Signals::Start),
        ("no signal", Signals::None),
    ];
    let cases: Vec<Case> = signals
        .into_iter()
        .flat_map(|(name, signals)| {
            [
                ours(name, signals),
                learned(&format!("{name}, learned forecast"), signals, hours.to_vec()),
                learned(&format!("{name}, forecast 12 h late"), signals, late.clone()),
            ]
        })
        .collect();
    compare(demand, world, &cases)
        .into_iter()
        .map(|(report, _)| report)
        .collect()
}

/// A demand without and with the forecast that learns.
#[derive(Debug, Clone, Serialize)]
pub struct Worth {
    /// Which demand.
    pub what: String,
    /// Without.
    pub without: Side,
    /// With.
    pub with: Side,
}

impl Worth {
    /// Machine time against that without.
    pub fn times(&self) -> f64 {
        self.with.hours_month / self.without.hours_month.max(1e-9)
    }
}

/// With each signal where what was learned is wrong. `foresees` is [`foreseen`], or remembers what that said.
pub fn wrong(demand: &Demand, world: &World, mut foresees: impl FnMut(&Demand) -> Vec<NextHour>) -> Vec<Worth> {
    let mut worths = Vec::new();
    let mut tried = |what: &str, demand: &Demand, hours: &[NextHour], flooder| {
        for (name, signals) in [(OURS, Signals::Canvas), ("no signal", Signals::None)] {
            let side = |case: &Case| Side::of(&run(demand, world, case), demand, world, flooder);
            worths.push(Worth {
                what: format!("{name}: {what}"),
                without: side(&ours(name, signals)),
                with: side(&learned(name, signals, hours.to_vec())),
            });
        }
    };
    if let Some(other) = other() {
        tried("learned on another studio", demand, &foresees(&other), None);
    }
    for it in demand.changed() {
        tried(it.what, &it.demand, &foresees(&it.demand), it.flooder);
    }
    worths
}
