//! What somebody could do who knows every request beforehand: the measure of all policies.

use crate::{chance::Chance, demand::Demand, world::World};

/// Machine hours over the demand's days.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clairvoyant {
    /// A schedule that can be carried out: nobody waits longer than the patience.
    pub feasible_h: f64,
    /// No schedule without time-outs needs less.
    pub lower_bound_h: f64,
}

/// Both for this demand. Starts take their mean, models are loaded already, nothing goes wrong.
///
/// *Feasible*: each request in order goes to the first worker that is free within the patience, or to one more; between
/// two of its runs a worker stays up where that is shorter than a start, and else is started to be ready in time.
///
/// *Lower bound*: all rendering, and for each gap in which no run can be under way whatever the schedule (from the last
/// moment at which earlier requests can end to the next request), the cheaper of idling through it and of a start.
pub fn clairvoyant(demand: &Demand, world: &World) -> Clairvoyant {
    let middle = |(low, high): (f64, f64)| f64::midpoint(low, high);
    let start = middle(world.start_s) + middle(world.warm_up_s);
    let runs: Vec<(f64, f64)> = demand
        .requests
        .iter()
        .enumerate()
        .map(|(at, request)| {
            let mut chance = Chance::new(world.seed, "run", at as u64);
            let (low, high) = world.picture_s;
            let run = chance.between(low, high) * request.work / 30.0 * world.service_factor + world.overhead_s;
            (request.at as f64 / 1000.0, run)
        })
        .collect();
    let mut least = 0.0;
    let mut latest_end = f64::NEG_INFINITY;
    for &(at, run) in &runs {
        least += run + (at - latest_end).clamp(0.0, start);
        latest_end = latest_end.max(at + world.patience_s + run);
    }
    let mut free: Vec<f64> = Vec::new();
    let mut hours = 0.0;
    for &(at, run) in &runs {
        if let Some(free) = free.iter_mut().find(|free| **free <= at + world.patience_s) {
            hours += run + (at - *free).clamp(0.0, start);
            *free = free.max(at) + run;
        } else {
            hours += start + run;
            free.push(at + run);
        }
    }
    Clairvoyant {
        feasible_h: hours / 3600.0,
        lower_bound_h: least / 3600.0,
    }
}
