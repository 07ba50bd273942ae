//! What it is worth to know painters' pauses: the first worker kept and started by what was learned of them, against fixed
//! times.

use model::{Course, Hazard, MicroUsd, Millis, Settings};
use serde::Serialize;

use crate::{
    cases::ours,
    clairvoyant::clairvoyant,
    demand::Demand,
    engine::{Case, MIDNIGHT, run},
    signals::Signals,
    stats::Stats,
    world::World,
};

/// What clients show, by name: only of those that report the canvas pauses are known.
const KINDS: [(&str, Signals); 4] = [
    ("presence with pauses", Signals::Canvas),
    ("presence without pauses", Signals::Unbroken),
    ("presence at start only", Signals::Start),
    ("no signal", Signals::None),
];

/// Those that report it.
const WATCHED: [(&str, Signals); 2] = [KINDS[0], KINDS[1]];

/// Dollars that an avoided wait is worth, beside the default; millionths.
const WORTHS: [u64; 3] = [50_000, 100_000, 400_000];

/// Both rules under the same circumstances.
#[derive(Debug, Clone, Serialize)]
pub struct Pair {
    /// Which circumstances.
    pub what: String,
    /// By fixed times.
    pub fixed: Side,
    /// By what was learned.
    pub learned: Side,
}

/// What one rule costs and how often painters wait too long.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Side {
    /// Share of the requests of painters within their fair share whose rendering had not begun when their patience ended,
    /// percent.
    pub timeouts_pct: f64,
    /// GPU hours in 30 days.
    pub hours_month: f64,
    /// Machine time against the feasible schedule of somebody who knows all requests beforehand.
    pub clairvoyant_ratio: f64,
}

impl Side {
    /// Of this run; `flooder` asks for more than a fair share.
    pub(crate) fn of(stats: &Stats, demand: &Demand, world: &World, flooder: Option<u32>) -> Self {
        let fair = |at: usize| demand.requests.get(at).is_some_and(|it| Some(it.user) != flooder);
        let asked = (0..demand.requests.len()).filter(|at| fair(*at)).count();
        let given_up = stats.given_up.iter().filter(|at| fair(**at)).count();
        Self {
            timeouts_pct: 100.0 * given_up as f64 / asked.max(1) as f64,
            hours_month: stats.hours() * 30.0 / demand.days as f64,
            clairvoyant_ratio: stats.hours() / clairvoyant(demand, world).feasible_h.max(1e-9),
        }
    }
}

/// The rule with fixed times.
fn fixed(case: Case) -> Case {
    Case {
        learning: false,
        hazard: None,
        ..case
    }
}

fn pair(what: &str, demand: &Demand, world: &World, case: &Case, flooder: Option<u32>) -> Pair {
    let side = |case: &Case| Side::of(&run(demand, world, case), demand, world, flooder);
    Pair {
        what: what.to_owned(),
        fixed: side(&fixed(case.clone())),
        learned: side(case),
    }
}

/// Both rules with each kind of client.
pub fn kinds(demand: &Demand, world: &World) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (name, signals) in KINDS {
        pairs.push(pair(name, demand, world, &ours(name, signals), None));
    }
    for (name, signals) in WATCHED {
        let knows = Case {
            hazard: learned(demand, world, &ours(name, signals)),
            ..ours(name, signals)
        };
        let name = format!("{name}, knowing the same month beforehand");
        pairs.push(pair(&name, demand, world, &knows, None));
    }
    pairs
}

/// What other prices of a wait would do.
pub fn worths(demand: &Demand, world: &World) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (name, signals) in WATCHED {
        for worth in WORTHS {
            let case = Case {
                settings: Settings {
                    wait_worth: MicroUsd(worth),
                    ..Settings::default()
                },
                ..ours(name, signals)
            };
            let name = format!("{name}, a wait is worth ${:.2}", worth as f64 / 1e6);
            pairs.push(pair(&name, demand, world, &case, None));
        }
    }
    pairs
}

/// Both rules where what was learned is wrong.
pub fn wrong(demand: &Demand, world: &World) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let changed = demand.changed();
    for (name, signals) in WATCHED {
        let case = ours(name, signals);
        let from_another = Case {
            hazard: another(world, signals),
            ..case.clone()
        };
        let named = format!("{name}: learned on another studio");
        pairs.push(pair(&named, demand, world, &from_another, None));
        for it in &changed {
            pairs.push(pair(
                &format!("{name}: {}", it.what),
                &it.demand,
                world,
                &case,
                it.flooder,
            ));
        }
    }
    pairs
}

/// A studio of other painters.
pub(crate) fn other() -> Option<Demand> {
    const SEED: u64 = 77;
    Demand::painted(20, 28, SEED)
}

/// What it has taught.
fn another(world: &World, signals: Signals) -> Option<Hazard> {
    learned(&other()?, world, &ours("another studio", signals))
}

/// What this demand teaches, as it is known before the first day of another one.
fn learned(demand: &Demand, world: &World, case: &Case) -> Option<Hazard> {
    let hazard = run(demand, world, case).hazard?;
    Some(Hazard {
        at: Millis(MIDNIGHT),
        painters: Vec::new(),
        worked: Millis(0),
        fixed: Course {
            on: None,
            ..hazard.fixed
        },
        learned: Course {
            on: None,
            ..hazard.learned
        },
        ..hazard
    })
}
