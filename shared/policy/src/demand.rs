//! Which models a pool's painters ask for: those are on a machine before anybody asks.

use std::collections::BTreeMap;

use model::{Demand, Millis, storable};

/// After this long a picture counts half: yesterday's project is tomorrow's, last week's mostly not.
const HALF_LIFE_MS: f64 = 2.0 * 24.0 * 3_600_000.0;
/// Most models remembered: the item stays small.
const MODELS: usize = 16;
/// Of fewer pictures, as they count now, nothing is concluded.
const FEW: f64 = 2.0;

/// How many pictures it counts for now.
fn pictures(demand: Demand, now: Millis) -> f64 {
    let since = now.since(demand.at).as_secs_f64() * 1000.0;
    storable(demand.pictures.max(0.0) * (-since / HALF_LIFE_MS).exp2())
}

/// Takes a picture that was asked for.
pub fn learn(all: &mut BTreeMap<String, Demand>, model: &str, now: Millis) {
    let before = all.get(model).map_or(0.0, |it| pictures(*it, now));
    let demand = Demand {
        pictures: storable((before + 1.0).min(1e6)),
        at: now,
    };
    all.insert(model.to_owned(), demand);
    if all.len() > MODELS {
        let others = all.iter().filter(|(name, _)| *name != model);
        let least = others.min_by(|a, b| pictures(*a.1, now).total_cmp(&pictures(*b.1, now)));
        if let Some(least) = least.map(|(name, _)| name.clone()) {
            all.remove(&least);
        }
    }
}

/// The models that are asked for, most first.
pub fn most_wanted(all: &BTreeMap<String, Demand>, now: Millis) -> Vec<&str> {
    let mut wanted: Vec<_> = all
        .iter()
        .map(|(name, it)| (pictures(*it, now), name.as_str()))
        .collect();
    wanted.retain(|(pictures, _)| *pictures >= FEW);
    wanted.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    wanted.into_iter().map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: u64 = 24 * 3_600_000;

    #[test]
    fn what_is_long_ago_counts_less_and_single_pictures_nothing() {
        let mut all = BTreeMap::new();
        for _ in 0..10 {
            learn(&mut all, "old", Millis(0));
        }
        for _ in 0..4 {
            learn(&mut all, "new", Millis(4 * DAY));
        }
        learn(&mut all, "once", Millis(4 * DAY));
        assert_eq!(most_wanted(&all, Millis(0)), ["old", "new"]);
        assert_eq!(most_wanted(&all, Millis(4 * DAY)), ["new", "old"]);
        assert!(most_wanted(&all, Millis(30 * DAY)).is_empty());
    }

    proptest! {
        #[test]
        fn it_stays_small_and_knows_the_latest(asked in prop::collection::vec((0_usize..40, 0_u64..30), 1..200)) {
            let mut all = BTreeMap::new();
            for (model, day) in &asked {
                learn(&mut all, &format!("m{model}"), Millis(day * DAY));
                let kept = all.contains_key(&format!("m{model}"));
                prop_assert!(kept && all.len() <= MODELS);
            }
            for demand in all.values() {
                prop_assert!(demand.pictures.is_finite() && demand.pictures >= 1.0);
            }
        }
    }
}
