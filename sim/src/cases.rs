//! The policies that are compared.

use std::time::Duration;

use model::Settings;

use crate::{
    chance::Chance,
    clairvoyant::{Clairvoyant, clairvoyant},
    demand::Demand,
    engine::{Case, run},
    signals::Signals,
    stats::{Report, Stats},
    world::World,
};

/// Ours, with the default settings.
pub fn ours(name: &str, signals: Signals) -> Case {
    Case {
        name: name.to_owned(),
        settings: Settings::default(),
        signals,
        presence: true,
        learning: true,
        hazard: None,
        forecast: None,
        foreseen: None,
        planned: None,
        always: 0,
        choosing: true,
        knows_disks: true,
        warm_up: false,
        patience_s: None,
    }
}

/// As many workers day and night.
pub fn always_on(workers: u32) -> Case {
    Case {
        always: workers,
        presence: false,
        learning: false,
        settings: Settings {
            idle_stop: Duration::from_hours(24 * 400),
            ..Settings::default()
        },
        ..ours(&format!("always on, {workers}"), Signals::None)
    }
}

/// A start for whoever waits, a stop after so long without a run.
pub fn reactive(idle: Duration) -> Case {
    Case {
        presence: false,
        learning: false,
        settings: Settings {
            idle_stop: idle.max(Settings::default().idle_stop),
            idle_blind: idle,
            ..Settings::default()
        },
        ..ours(
            &format!("reactive, stop after {} min idle", idle.as_secs() / 60),
            Signals::None,
        )
    }
}

/// Ours, on the word of a forecast that asks for so many workers hour by hour.
pub fn forecast(name: &str, signals: Signals, hours: Vec<u32>) -> Case {
    Case {
        forecast: Some(hours),
        ..ours(name, signals)
    }
}

/// The forecast of somebody who knows in which hours somebody will ask.
pub fn true_forecast(demand: &Demand) -> Vec<u32> {
    let mut hours = vec![0; usize::try_from(demand.days * 24).unwrap_or_default()];
    for request in &demand.requests {
        if let Some(hour) = hours.get_mut(usize::try_from(request.at / 3_600_000).unwrap_or(usize::MAX)) {
            *hour = 1;
        }
    }
    hours
}

/// The same hours in another order.
pub fn shuffled(mut hours: Vec<u32>, seed: u64) -> Vec<u32> {
    Chance::new(seed, "hours", 0).shuffle(&mut hours);
    hours
}

/// The name of ours with clients that report the canvas: the default.
pub const OURS: &str = "presence";

/// The policies of the table.
pub fn all(demand: &Demand) -> Vec<Case> {
    let patient = Case {
        patience_s: Some(180.0),
        ..ours("no signal, patience 180 s", Signals::None)
    };
    let mut cases = vec![always_on(1)];
    cases.extend([30, 15, 10, 5, 2].map(|minutes| reactive(Duration::from_mins(minutes))));
    cases.extend([
        ours(OURS, Signals::Canvas),
        ours("presence without pauses", Signals::Unbroken),
        ours("presence at start only", Signals::Start),
        ours("no signal", Signals::None),
        patient,
        forecast("no signal, true forecast", Signals::None, true_forecast(demand)),
    ]);
    cases
}

/// Runs these cases over the demand.
pub fn compare(demand: &Demand, world: &World, cases: &[Case]) -> Vec<(Report, Stats)> {
    let best = clairvoyant(demand, world);
    cases.iter().map(|case| one(demand, world, case, &best)).collect()
}

fn one(demand: &Demand, world: &World, case: &Case, best: &Clairvoyant) -> (Report, Stats) {
    let stats = run(demand, world, case);
    let patience = case.patience_s.unwrap_or(world.patience_s);
    (Report::new(&case.name, &stats, demand, world, patience, best), stats)
}
