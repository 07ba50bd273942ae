//! The goals that the defaults are held to, each measured on the same demand.

use std::time::Duration;

use serde::Serialize;

use crate::{
    cases::{self, OURS, compare, forecast, ours, reactive, true_forecast},
    demand::Demand,
    engine::Case,
    signals::Signals,
    stats::Report,
    world::World,
};

/// A goal and what was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Goal {
    /// What is asked.
    pub goal: String,
    /// What was measured, in the goal's unit.
    pub measured: f64,
    /// It may be at most this.
    pub at_most: f64,
    /// Whether it is.
    pub met: bool,
}

fn goal(name: &str, measured: f64, at_most: f64) -> Goal {
    Goal {
        goal: name.to_owned(),
        measured,
        at_most,
        met: measured <= at_most,
    }
}

/// Up to so many requests a day it is a small studio, whose goals are in hours; above, a service.
const SMALL: u64 = 200;

/// Whether its goals are in hours.
pub(crate) const fn is_small(demand: &Demand) -> bool {
    demand.requests.len() as u64 / demand.days <= SMALL
}

/// Every goal that this demand can show.
pub fn all(demand: &Demand, world: &World) -> Vec<Goal> {
    let mut goals = demand_goals(demand, world);
    goals.extend(reactive_goals(demand, world));
    goals.extend(forecast_goals(demand, world));
    goals.push(vram(demand, world));
    goals.push(fairness(demand, world));
    goals
}

fn report(demand: &Demand, world: &World, case: &Case) -> Report {
    let mut reports = compare(demand, world, std::slice::from_ref(case));
    reports.remove(0).0
}

fn demand_goals(demand: &Demand, world: &World) -> Vec<Goal> {
    let canvas = report(demand, world, &ours(OURS, Signals::Canvas));
    let start = report(demand, world, &ours("start", Signals::Start));
    let patient = Case {
        patience_s: Some(180.0),
        ..ours("patient", Signals::None)
    };
    let sound = World {
        launch_fails: 0.0,
        lost_per_hour: 0.0,
        ..world.clone()
    };
    let patient = report(demand, &sound, &patient);
    if !is_small(demand) {
        return vec![
            goal("presence: time-outs, %", canvas.timeouts_pct, 0.3),
            goal(
                "presence: machine time against clairvoyant",
                canvas.clairvoyant_ratio,
                1.5,
            ),
        ];
    }
    vec![
        goal("presence: time-outs, %", canvas.timeouts_pct, 0.5),
        goal("presence: GPU hours a month", canvas.hours_month, 120.0),
        goal("presence: $ for a picture", canvas.cost_per_picture, 0.045),
        goal("presence at start only: time-outs, %", start.timeouts_pct, 3.0),
        goal("presence at start only: GPU hours a month", start.hours_month, 150.0),
        goal(
            "no signal, patience 180 s, no machine fails: time-outs, %",
            patient.timeouts_pct,
            0.0,
        ),
    ]
}

/// Without signals ours lies on the reactive curve or below it, at each idle time.
fn reactive_goals(demand: &Demand, world: &World) -> Vec<Goal> {
    let mut above: f64 = 0.0;
    for minutes in [2, 5, 10, 15, 30] {
        let idle = Duration::from_mins(minutes);
        let mut same = ours("no signal", Signals::None);
        same.settings.idle_blind = idle;
        let (theirs, same) = (report(demand, world, &reactive(idle)), report(demand, world, &same));
        // Above the curve: more of the one without less of the other.
        let worse = (same.timeouts_pct - theirs.timeouts_pct).min(same.hours_month - theirs.hours_month);
        above = above.max(worse);
    }
    vec![goal("no signal: above the reactive curve, % or hours", above, 0.05)]
}

fn forecast_goals(demand: &Demand, world: &World) -> Vec<Goal> {
    let truth = true_forecast(demand);
    let times_ten: Vec<_> = truth.iter().map(|workers| workers * 10).collect();
    let kinds = [
        ("zero", vec![0; truth.len()]),
        ("ten times too high", times_ten),
        ("shuffled", cases::shuffled(truth, world.seed)),
    ];
    let mut goals = Vec::new();
    for (signals, name) in [(Signals::Canvas, "presence"), (Signals::None, "no signal")] {
        let without = report(demand, world, &ours(name, signals));
        for (kind, hours) in &kinds {
            let with = report(demand, world, &forecast(kind, signals, hours.clone()));
            let name = format!("{name}, forecast {kind}: cost against none");
            goals.push(goal(&name, with.hours_month / without.hours_month.max(1e-9), 1.1));
        }
    }
    goals
}

/// Three workers day and night: the choice of tasks and workers against first come, first served.
fn vram(demand: &Demand, world: &World) -> Goal {
    let ours = cases::always_on(3);
    let theirs = Case {
        choosing: false,
        ..ours.clone()
    };
    let (ours, theirs) = (report(demand, world, &ours), report(demand, world, &theirs));
    let ratio = ours.vram_miss_pct / theirs.vram_miss_pct.max(1e-9);
    let name = format!(
        "VRAM misses against first come, first served, 3 workers ({:.0} → {:.0} %, p95 {:.1} → {:.1} s)",
        theirs.vram_miss_pct, ours.vram_miss_pct, theirs.p95_s, ours.p95_s
    );
    let no_worse = if ours.p95_s <= theirs.p95_s {
        ratio
    } else {
        f64::INFINITY
    };
    goal(&name, no_worse, 0.7)
}

/// One painter sends 400 variants to the batch lane at each full hour: what it does to the others' p95.
fn fairness(demand: &Demand, world: &World) -> Goal {
    let hours: Vec<u64> = (0..24).collect();
    let flooded = demand.flooded(400, &hours);
    let flooder = demand.painters();
    let case = ours(OURS, Signals::Canvas);
    let p95 = |demand: &Demand| {
        let stats = crate::engine::run(demand, world, &case);
        stats.p95_of(|at| demand.requests[at].user != flooder)
    };
    goal(
        "one painter floods the batch lane: the others' p95, times",
        p95(&flooded) / p95(demand).max(1e-9),
        1.5,
    )
}
