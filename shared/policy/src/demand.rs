//! Which models a pool's painters ask for: those are on a machine before anybody asks.

use std::collections::BTreeMap;

use model::{Demand, DemandCount, Millis, storable};

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

/// Most models that are named for an hour.
const OF_HOUR: usize = 8;
/// What was asked for at this hour of the day counts so many times what was asked for at another.
const SAME_HOUR: f64 = 4.0;

/// The models that the hour from this moment on will ask for, the most wanted first: what was asked for at this hour, give or
/// take half an hour, and lately.
pub fn of_hour(counts: &[DemandCount], from: Millis) -> Vec<String> {
    const DAY_MS: u64 = 24 * 3_600_000;
    const HALF_HOUR_MS: u64 = 1_800_000;
    let mut wanted: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for count in counts.iter().filter(|it| it.at < from) {
        let ago = from.since(count.at).as_secs_f64() * 1000.0;
        // From half an hour before the hour until half an hour after it.
        let same = (count.at.0 + HALF_HOUR_MS + DAY_MS - from.0 % DAY_MS) % DAY_MS < 4 * HALF_HOUR_MS;
        for (model, times) in &count.models {
            let pictures = (-ago / HALF_LIFE_MS).exp2() * *times as f64;
            let (all, weight) = wanted.entry(model).or_default();
            *all += pictures;
            *weight += pictures * if same { SAME_HOUR } else { 1.0 };
        }
    }
    let mut wanted: Vec<_> = wanted.into_iter().filter(|(_, (all, _))| *all >= FEW).collect();
    wanted.sort_by(|a, b| b.1.1.total_cmp(&a.1.1).then(a.0.cmp(b.0)));
    wanted
        .into_iter()
        .take(OF_HOUR)
        .map(|(model, _)| model.to_owned())
        .collect()
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

    #[test]
    fn an_hour_asks_for_what_was_asked_for_at_that_hour() {
        let hour = 3_600_000;
        let count = |at: u64, model: &str, times| DemandCount {
            at: Millis(at),
            models: [(model.to_owned(), times)].into(),
            ..DemandCount::default()
        };
        let counts = [
            count(10 * DAY + 9 * hour, "morning", 10),
            count(10 * DAY + 20 * hour, "evening", 20),
            count(11 * DAY + 9 * hour, "morning", 10),
            count(11 * DAY + 20 * hour, "evening", 20),
            count(11 * DAY + 20 * hour, "once", 1),
            count(12 * DAY + 9 * hour, "of the future", 100),
        ];
        let at = |hours: u64| of_hour(&counts, Millis(12 * DAY + hours * hour));
        assert_eq!(at(9), ["morning", "evening"]);
        assert_eq!(
            of_hour(&counts[..5], Millis(12 * DAY + 20 * hour)),
            ["evening", "morning"]
        );
        assert_eq!(of_hour(&counts, Millis(0)), Vec::<String>::new());
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
