//! What it is worth to know where models lie, and to begin with those that are asked for most.

use crate::{
    cases::{OURS, always_on, compare, ours},
    demand::Demand,
    engine::Case,
    signals::Signals,
    stats::Report,
    world::World,
};

/// How many models the studios of the table have.
const STUDIOS: [u32; 2] = [20, 86];

/// The choice of tasks and workers by what is known of models, on three machines day and night.
pub fn choices(demand: &Demand, world: &World) -> Vec<Report> {
    let world = with_files(world);
    let all = always_on(3);
    let of = |name: &str, choosing, knows_disks| Case {
        name: name.to_owned(),
        choosing,
        knows_disks,
        ..all.clone()
    };
    let cases = [
        of("first come, first served", false, false),
        of("by what is in the GPU", true, false),
        of("by seconds, GPU and disk", true, true),
    ];
    each(demand, &world, &cases)
}

/// Machines that wake and sleep, with and without a warm-up by demand.
pub fn warm_ups(demand: &Demand, world: &World) -> Vec<Report> {
    let world = with_files(world);
    let of = |name: &str, warm_up| Case {
        warm_up,
        ..ours(name, Signals::Canvas)
    };
    let cases = [
        of(&format!("{OURS}, no warm-up by demand"), false),
        of(&format!("{OURS}, warm-up by demand"), true),
    ];
    each(demand, &world, &cases)
}

fn with_files(world: &World) -> World {
    World {
        files: Some(world.files.unwrap_or_default()),
        ..world.clone()
    }
}

fn each(demand: &Demand, world: &World, cases: &[Case]) -> Vec<Report> {
    let one = |models: u32| {
        let demand = demand.over(models);
        let reports = compare(&demand, world, cases);
        reports.into_iter().map(move |(report, _)| Report {
            policy: format!("{models} models: {}", report.policy),
            ..report
        })
    };
    STUDIOS.into_iter().flat_map(one).collect()
}
