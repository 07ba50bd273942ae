//! What a group of variants in the batch lane does to everybody else.

use serde::Serialize;

use crate::{
    cases::{OURS, ours},
    demand::Demand,
    engine::run,
    signals::Signals,
    world::World,
};

/// The hours of each day at which a group is asked for.
const HOURS: [u64; 2] = [10, 14];

/// One size of group.
#[derive(Debug, Clone, Serialize)]
pub struct Variants {
    /// Variants of each group.
    pub variants: u64,
    /// The others' 95th percentile from request to picture without them, seconds.
    pub p95_without_s: f64,
    /// The same with them.
    pub p95_with_s: f64,
    /// The same of what was asked for while a group was not done, without and with them.
    pub beside_without_s: f64,
    /// As above.
    pub beside_with_s: f64,
    /// How many requests that were.
    pub beside: usize,
    /// Runs of a group that were taken back, the mean.
    pub preempted: f64,
    /// Until the last picture of a group is there, the mean, minutes.
    pub done_min: f64,
    /// GPU hours in 30 days without and with them.
    pub hours_without: f64,
    /// As above.
    pub hours_with: f64,
}

impl Variants {
    /// How much longer the others wait, as a factor.
    pub fn times(&self) -> f64 {
        self.p95_with_s / self.p95_without_s.max(1e-9)
    }
}

/// One painter more asks for a group of so many variants at each of the hours.
pub fn beside(demand: &Demand, world: &World, variants: u64) -> Variants {
    let case = ours(OURS, Signals::Canvas);
    let flooded = demand.flooded(variants, &HOURS);
    let flooder = demand.painters();
    let (without, with) = (run(demand, world, &case), run(&flooded, world, &case));
    // Where each request of the others is in the flooded demand.
    let places: Vec<_> = (0..flooded.requests.len())
        .filter(|at| flooded.requests[*at].user != flooder)
        .collect();
    let groups = groups(&flooded, flooder, &with.response_s);
    let is_beside = |at: u64| groups.iter().any(|(from, until)| (*from..*until).contains(&at));
    let beside: Vec<_> = (0..demand.requests.len())
        .filter(|at| is_beside(demand.requests[*at].at))
        .collect();
    let beside_flooded: Vec<_> = beside.iter().filter_map(|at| places.get(*at).copied()).collect();
    let month = 30.0 / demand.days as f64;
    let minutes = |(from, until): &(u64, u64)| (until - from) as f64 / 60_000.0;
    Variants {
        variants,
        p95_without_s: without.p95_of(|_| true),
        p95_with_s: with.p95_of(|at| flooded.requests[at].user != flooder),
        beside_without_s: without.p95_of(|at| beside.binary_search(&at).is_ok()),
        beside_with_s: with.p95_of(|at| beside_flooded.binary_search(&at).is_ok()),
        beside: beside.len(),
        preempted: with.preempted as f64 / groups.len().max(1) as f64,
        done_min: groups.iter().map(minutes).sum::<f64>() / groups.len().max(1) as f64,
        hours_without: without.hours() * month,
        hours_with: with.hours() * month,
    }
}

/// From when to when each group was asked for and rendered, milliseconds.
fn groups(flooded: &Demand, flooder: u32, response_s: &[Option<f64>]) -> Vec<(u64, u64)> {
    let mut groups: Vec<(u64, u64)> = Vec::new();
    for (request, response) in flooded.requests.iter().zip(response_s) {
        if request.user != flooder {
            continue;
        }
        let end = request.at + (response.unwrap_or(0.0) * 1000.0) as u64;
        match groups.last_mut() {
            // A group's requests come within seconds.
            Some((from, until)) if request.at - *from < 30 * 60_000 => *until = (*until).max(end),
            _ => groups.push((request.at, end)),
        }
    }
    groups
}

/// The sizes of the table.
pub fn table(demand: &Demand, world: &World) -> Vec<Variants> {
    [10, 40, 96].map(|variants| beside(demand, world, variants)).to_vec()
}
