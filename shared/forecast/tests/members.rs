//! The members, what they keep, and who acts.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

use forecast::{
    Count, DAY, HOUR, Linear, Lstm, Member, Net, Quantiles, Record, Saved, SavedError, Score, Series, Trial, clean,
    members,
};
use proptest::prelude::*;

/// Busy days and quiet nights, with chance from a seed.
fn days(count: usize, seed: u64) -> Series {
    let mut rng = fastrand::Rng::with_seed(seed);
    let values = (0..count * DAY).map(|slot| {
        let level = if (96..216).contains(&(slot % DAY)) { 2.0 } else { 0.1 };
        (rng.f64() * 2.0 * level).round()
    });
    Series::new(0, values.collect())
}

#[test]
fn the_gradient_of_the_net_is_what_small_steps_say() {
    let mut net = Net::new(3);
    let mut rng = fastrand::Rng::with_seed(7);
    for weight in &mut net.weights {
        *weight += (rng.f64() - 0.5) * 0.4;
    }
    let inputs: Vec<[f64; 2]> = (0..5).map(|_| [rng.f64(), rng.f64() - 0.5]).collect();
    let known: Vec<f64> = (0..10).map(|_| rng.f64()).collect();
    let loss = |net: &Net| {
        let [low, high] = net.predict(&inputs, &known);
        0.7 * low * low - 1.3 * high
    };
    let mut gradient = vec![0.0; net.weights.len()];
    net.backward(&inputs, &known, |[low, _]| [1.4 * low, -1.3], &mut gradient);
    for at in (0..gradient.len()).step_by(7) {
        let (mut more, mut less) = (net.clone(), net.clone());
        more.weights[at] += 1e-5;
        less.weights[at] -= 1e-5;
        let slope = (loss(&more) - loss(&less)) / 2e-5;
        assert!(
            (slope - gradient[at]).abs() < 1e-6 + 1e-4 * slope.abs(),
            "weight {at}: {slope} {}",
            gradient[at]
        );
    }
}

#[test]
fn three_days_are_enough_to_train_and_the_same_seed_says_the_same() {
    let series = days(3, 1);
    for (mut one, mut other) in members(9).into_iter().zip(members(9)) {
        one.learn(&series, series.len());
        other.learn(&series, series.len());
        let said = one.predict(&series, series.len());
        assert_eq!(said, other.predict(&series, series.len()), "{}", one.name());
        assert!(said.p50.is_finite() && said.p90 >= said.p50, "{}: {said:?}", one.name());
    }
}

#[test]
fn a_member_that_learns_is_better_than_nothing_on_a_plain_day() {
    let series = days(10, 2);
    for mut member in [Box::new(Linear::default()) as Box<dyn Member>, Box::new(Lstm::new(1))] {
        member.learn(&series, 8 * DAY);
        let score = |say: &dyn Fn(usize) -> Quantiles| {
            let pairs: Vec<_> = (8 * DAY..9 * DAY).map(|at| (say(at), series.hour(at))).collect();
            Score::of(&pairs).mae
        };
        let learned = score(&|at| member.predict(&series, at));
        let nothing = score(&|at| Quantiles::point(series.usual(at)));
        assert!(learned < 0.6 * nothing, "{}: {learned} {nothing}", member.name());
    }
}

#[test]
fn what_is_kept_comes_back_and_what_is_damaged_or_of_another_version_does_not() {
    let series = days(3, 3);
    let mut learned = members(1);
    for member in &mut learned {
        member.learn(&series, series.len());
    }
    let text = Saved::of(&learned, 864).write();
    let mut fresh = members(2);
    Saved::read(&text).unwrap().restore(&mut fresh).unwrap();
    for (one, other) in learned.iter().zip(&fresh) {
        assert_eq!(
            one.predict(&series, series.len()),
            other.predict(&series, series.len()),
            "{}",
            one.name()
        );
    }
    assert_eq!(Saved::read(&text[..text.len() / 2]), Err(SavedError::Damaged));
    assert_eq!(Saved::read(&text.replacen("864", "865", 1)), Err(SavedError::Damaged));
    assert_eq!(
        Saved::read(&text.replacen("\"version\":1", "\"version\":7", 1)),
        Err(SavedError::Version(7))
    );
    let mut short = Saved::read(&text).unwrap();
    short.members.insert("LSTM".into(), vec![1.0; 5]);
    assert_eq!(short.restore(&mut members(1)), Err(SavedError::Damaged));
}

/// Says what it is told to.
struct Says(&'static str, fn(&Series, usize) -> f64);

impl Member for Says {
    fn name(&self) -> &'static str {
        self.0
    }

    fn predict(&self, series: &Series, at: usize) -> Quantiles {
        Quantiles::point((self.1)(series, at))
    }
}

fn acting(simple: fn(&Series, usize) -> f64, other: fn(&Series, usize) -> f64, days_seen: usize) -> Option<String> {
    let series = days(12, 4);
    let mut trial = Trial::with(vec![Box::new(Says("simple", simple)), Box::new(Says("other", other))]);
    for at in DAY..=(1 + days_seen) * DAY {
        trial.step(&series, at);
    }
    trial.acting().map(str::to_owned)
}

#[test]
fn a_member_acts_only_while_it_beats_the_simpler_ones() {
    let clairvoyant: fn(&Series, usize) -> f64 = |series, at| series.hour(at);
    let blind: fn(&Series, usize) -> f64 = |_, at| if at % 2 == 0 { 90.0 } else { 0.0 };
    assert_eq!(acting(blind, clairvoyant, 5).as_deref(), Some("other"));
    assert_eq!(acting(clairvoyant, blind, 5).as_deref(), Some("simple"));
    // As good is not better.
    assert_eq!(acting(clairvoyant, clairvoyant, 5).as_deref(), Some("simple"));
    // Two days are no evidence.
    assert_eq!(acting(blind, clairvoyant, 2), None);
}

#[test]
fn the_correction_covers_nine_of_ten_whatever_a_member_says() {
    let series = days(20, 5);
    let mut trial = Trial::with(vec![Box::new(Says("too low", |series, at| 0.5 * series.usual(at)))]);
    let mut pairs = Vec::new();
    for at in DAY..19 * DAY {
        let said = trial.step(&series, at);
        if at >= 6 * DAY {
            pairs.push((said[0], series.hour(at)));
        }
    }
    let coverage = Score::of(&pairs).coverage;
    assert!((0.87..0.93).contains(&coverage), "{coverage}");
}

#[test]
fn a_trial_goes_on_from_its_record_as_if_it_had_not_stopped() {
    let series = days(9, 8);
    let simple = || members(1).into_iter().take(5).collect::<Vec<_>>();
    let (mut whole, mut record) = (Trial::with(simple()), Record::default());
    let first = 3 * DAY as u64;
    for at in (DAY..8 * DAY).step_by(3) {
        let said = whole.say(&series, at);
        // The same series, begun at another slot each time, as it is when days fall out of it.
        let text = forecast::seal(&record);
        let mut resumed = Trial::resume(simple(), &forecast::open(&text).unwrap(), first);
        let again = resumed.say(&series, at);
        assert_eq!(resumed.acting(), whole.acting(), "{at}");
        for (one, other) in said.iter().zip(&again) {
            assert!(
                (one.p50 - other.p50).abs() < 1e-3 * (1.0 + one.p50),
                "{at}: {one:?} {other:?}"
            );
            assert!(
                (one.p90 - other.p90).abs() < 1e-3 * (1.0 + one.p90),
                "{at}: {one:?} {other:?}"
            );
        }
        // The same moment twice is one.
        resumed.say(&series, at);
        record = resumed.record(first);
        assert_eq!(record.given["EWMA"].len(), whole.record(first).given["EWMA"].len());
    }
    assert!(whole.acting().is_some());
    // A clock that jumped and came back: what was said of the future is void.
    let mut resumed = Trial::resume(simple(), &record, first);
    let before = record.given["EWMA"].len();
    resumed.say(&series, 5 * DAY);
    assert!(resumed.record(first).given["EWMA"].len() < before);
    // Of a series that begins later, what was before is forgotten.
    let late = Trial::resume(simple(), &record, first + 7 * DAY as u64);
    assert!(late.record(0).given["EWMA"].len() < before / 2);
}

#[test]
fn the_steps_of_an_hour_are_the_hour() {
    let series = days(6, 9);
    for at in [0, 100, 5 * DAY + 90, 6 * DAY] {
        let hour = Quantiles { p50: 10.0, p90: 17.0 };
        let parts = forecast::steps(&series, at, hour);
        let p50: f64 = parts.iter().map(|it| it.p50).sum();
        let square: f64 = parts.iter().map(|it| (it.p90 - it.p50) * (it.p90 - it.p50)).sum();
        assert!((p50 - 10.0).abs() < 1e-9 && (square.sqrt() - 7.0).abs() < 1e-9, "{at}");
    }
    // The day begins in the middle of this hour.
    let parts = forecast::steps(&series, 5 * DAY + 90, Quantiles { p50: 12.0, p90: 12.0 });
    assert!(parts[11].p50 > 4.0 * parts[0].p50, "{parts:?}");
}

#[test]
fn no_member_sees_what_comes() {
    let past = days(4, 6);
    let mut values = past.values().to_vec();
    values.extend([500.0; HOUR]);
    let future = Series::new(0, values);
    let at = past.len();
    for (mut one, mut other) in members(1).into_iter().zip(members(1)) {
        one.learn(&past, at);
        other.learn(&future, at);
        assert_eq!(one.predict(&past, at), other.predict(&future, at), "{}", one.name());
    }
}

#[test]
fn what_cannot_be_counted_is_left_out_and_said() {
    let count = |slot, value| Count { slot, value };
    let bad = [
        count(5, -1.0),
        count(6, f64::NAN),
        count(200_000, 3.0),
        count(100_004, 9.0),
    ];
    let good = [count(100_000, 2.0), count(100_000, 1.0), count(100_003, 4.0)];
    let cleaned = clean(&[&bad[..], &good].concat(), 100_004);
    assert_eq!(cleaned.series.values(), [2.0, 0.0, 0.0, 4.0]);
    assert_eq!((cleaned.dropped, cleaned.cut), (5, 0));
}

#[test]
fn a_flood_in_the_history_teaches_little() {
    let calm = days(8, 7);
    let counts: Vec<Count> = (0..)
        .zip(calm.values())
        .map(|(slot, value)| Count { slot, value: *value })
        .collect();
    let mut flooded = counts.clone();
    for count in &mut flooded[6 * DAY..6 * DAY + 24] {
        count.value = 5_000.0;
    }
    let flooded = clean(&flooded, 8 * DAY as u64);
    assert_eq!(flooded.cut, 24);
    let highest = flooded.series.values().iter().copied().fold(0.0, f64::max);
    assert!(highest <= 20.0, "{highest}");
}

/// Thousands of requests in one slot, in each slot, and as many as a number can say: what every member, their mean and whoever
/// acts say is a number, never below nothing, and the ninth of ten is never below the median.
#[test]
fn thousands_of_requests_in_one_slot_are_a_number_to_every_member() {
    let now = 5 * DAY as u64;
    let flood = |each: f64, one: f64| -> Vec<Count> {
        let value = |slot: u64| {
            if slot == now - 3 {
                one
            } else {
                each * f64::from(u8::from(slot.is_multiple_of(3)))
            }
        };
        let counts = (0..now).map(|slot| Count {
            slot,
            value: value(slot),
        });
        counts.collect()
    };
    for (each, one) in [
        (0.0, 5_000.0),
        (2.0, 5_000.0),
        (5_000.0, 5_000.0),
        (2.0, u64::MAX as f64),
        (f64::MAX, f64::MAX),
    ] {
        let series = clean(&flood(each, one), now).series;
        let at = series.len();
        let mut trial = Trial::new(1);
        trial.learn(&series, at);
        let mut said = Vec::new();
        for at in (at.saturating_sub(3 * DAY + HOUR)..=at).step_by(HOUR) {
            said.extend(trial.say(&series, at));
        }
        assert!(at < 3 * DAY || trial.acting().is_some(), "{each} {one}");
        for it in &said {
            assert!(
                it.p50 >= 0.0 && it.p50 <= it.p90 && it.p90.is_finite(),
                "{each} {one}: {it:?}"
            );
        }
        let record = trial.record(series.first());
        let kept = forecast::open::<Record>(&forecast::seal(&record)).unwrap();
        assert_eq!(kept.given["LSTM"].len(), record.given["LSTM"].len());
        let says = forecast::say(&mut trial, &series, true);
        let hour = forecast::next_hour(&says, &says, forecast::began(now));
        let bands = hour.steps.iter().map(|it| it.arrivals).chain([hour.arrivals]);
        for it in bands {
            assert!(
                it.p50 >= 0.0 && it.p50 <= it.p90 && it.p90.is_finite(),
                "{each} {one}: {it:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn whatever_was_counted_the_simple_members_say_a_number(
        counts in prop::collection::vec((0_u64..1_500, prop::num::f64::ANY), 0..200), now in 0_u64..1_600,
    ) {
        let counts: Vec<Count> = counts.into_iter().map(|(slot, value)| Count { slot, value }).collect();
        let series = clean(&counts, now).series;
        let at = series.len();
        for mut member in members(1).into_iter().take(6) {
            member.learn(&series, at);
            let said = member.predict(&series, at);
            prop_assert!(said.p50 >= 0.0 && said.p90 >= said.p50 && said.p90.is_finite(), "{}", member.name());
        }
    }
}
