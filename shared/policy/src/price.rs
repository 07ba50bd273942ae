//! What GPU time costs.

use model::{MicroUsd, Pool, Task};

/// On-demand prices of an hour of Linux in us-east-1, August 2026, <https://aws.amazon.com/ec2/pricing/on-demand/>: the
/// instances with one GPU.
const HOURS: [(&str, MicroUsd); 15] = [
    ("g4dn.xlarge", MicroUsd(526_000)),
    ("g4dn.2xlarge", MicroUsd(752_000)),
    ("g4dn.4xlarge", MicroUsd(1_204_000)),
    ("g5.xlarge", MicroUsd(1_006_000)),
    ("g5.2xlarge", MicroUsd(1_212_000)),
    ("g5.4xlarge", MicroUsd(1_624_000)),
    ("g5.8xlarge", MicroUsd(2_448_000)),
    ("g6.xlarge", MicroUsd(804_800)),
    ("g6.2xlarge", MicroUsd(977_600)),
    ("g6.4xlarge", MicroUsd(1_323_200)),
    ("g6.8xlarge", MicroUsd(2_014_400)),
    ("g6e.xlarge", MicroUsd(1_861_000)),
    ("g6e.2xlarge", MicroUsd(2_242_080)),
    ("g6e.4xlarge", MicroUsd(3_004_240)),
    ("g6e.8xlarge", MicroUsd(4_528_560)),
];

/// An hour of what is in no list: that of a g5.xlarge.
const UNKNOWN: MicroUsd = MicroUsd(1_006_000);

/// The name under which a pool's prices have the one for workers of unknown type.
pub const DEFAULT: &str = "default";

/// What an hour of a worker of this instance type costs in this pool.
pub fn hour(pool: Option<&Pool>, instance_type: Option<&str>) -> MicroUsd {
    let own = |name: &str| pool.and_then(|pool| pool.prices.get(name)).copied();
    let listed = |name: &str| HOURS.iter().find(|(it, _)| *it == name).map(|(_, hour)| *hour);
    instance_type
        .and_then(|name| own(name).or_else(|| listed(name)))
        .or_else(|| own(DEFAULT))
        .unwrap_or(UNKNOWN)
}

/// What a task that succeeded costs: the time of its last run on this instance type, and never more than it reserved.
pub fn cost(pool: Option<&Pool>, task: &Task, instance_type: Option<&str>) -> MicroUsd {
    MicroUsd::of_time(task.run_time(), hour(pool, instance_type)).min(task.reserved)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::PoolId;

    use super::*;

    fn pool(types: &[&str], prices: &[(&str, u64)]) -> Pool {
        let types = types.iter().map(|&name| name.to_owned()).collect();
        Pool {
            prices: prices
                .iter()
                .map(|&(name, usd)| (name.to_owned(), MicroUsd(usd)))
                .collect(),
            ..Pool::new(PoolId::new("default"), 1, types)
        }
    }

    #[test]
    fn a_pools_own_prices_come_first() {
        let own = pool(&[], &[("g5.xlarge", 1), ("default", 2)]);
        for (instance_type, price) in [
            (Some("g5.xlarge"), 1),
            (Some("g6.xlarge"), 804_800),
            (Some("z9"), 2),
            (None, 2),
        ] {
            assert_eq!(hour(Some(&own), instance_type), MicroUsd(price), "{instance_type:?}");
        }
        assert_eq!(hour(Some(&pool(&[], &[])), Some("z9")), UNKNOWN);
        assert_eq!(hour(None, None), UNKNOWN);
    }

    #[test]
    fn the_list_names_each_type_once() {
        let names: BTreeMap<_, _> = HOURS.into_iter().collect();
        assert_eq!(names.len(), HOURS.len());
    }
}
