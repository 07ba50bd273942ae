//! The hourly forecast as it ships, learning from a demand's past alone; and what it is worth.

use forecast::{Count, DAY, HOUR, Trial, clean, next_hour, say, slot};
use model::{DemandCount, Millis, NextHour, Settings};

use crate::{
    cases::{OURS, compare, ours},
    demand::Demand,
    engine::{Case, MIDNIGHT},
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
pub fn all(demand: &Demand, world: &World) -> Vec<Report> {
    let hours = foreseen(demand, world);
    let mut late = hours.clone();
    late.rotate_right(DAY / 2);
    for (late, hour) in late.iter_mut().zip(&hours) {
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
                learned(&format!("{name}, learned forecast"), signals, hours.clone()),
                learned(&format!("{name}, forecast 12 h late"), signals, late.clone()),
            ]
        })
        .collect();
    compare(demand, world, &cases)
        .into_iter()
        .map(|(report, _)| report)
        .collect()
}
