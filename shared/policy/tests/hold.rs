//! When a call is kept open.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use model::{Lane, Millis, Settings, Task, TaskState, UserId};
use policy::hold;
use proptest::prelude::*;
use serde_json::json;

/// A task that was claimed at this moment and has come so far.
fn task(state: TaskState, claimed_at: u64, progress: f32) -> Task {
    serde_json::from_value(json!({
        "task_id": "01920000-0000-7000-8000-000000000000", "version": 1, "owner": "mara", "team": "studio",
        "pool": "default", "start_tag": 0, "lane": "interactive", "state": state, "work": 5.0, "created": 0,
        "expires_at": 10_000_000, "seen_at": 0,
        "run": {
            "run_id": "01920000-0000-7000-8000-000000000001", "worker_id": "w-1", "claimed_at": claimed_at,
            "lease_until": 0, "deadline": 0, "seq": 1, "progress": progress,
        },
    }))
    .unwrap()
}

#[test]
fn a_live_picture_is_one_of_few_steps() {
    assert_eq!(hold::lane(1, 8, 8.4), Lane::Live);
    assert_eq!(hold::lane(1, 9, 4.0), Lane::Interactive);
    assert_eq!(hold::lane(2, 4, 2.0), Lane::Interactive);
}

#[test]
fn what_has_no_steps_but_much_work_is_no_brush_stroke() {
    assert_eq!(hold::lane(1, 0, 50.0), Lane::Interactive, "an upscale");
    assert_eq!(hold::lane(1, 0, 1.0), Lane::Live, "as quickly done as a stroke");
    assert_eq!(hold::lane(1, 8, f64::NAN), Lane::Interactive);
}

#[test]
fn no_call_outlives_its_function() {
    let settings = Settings::parse("hold=1h").unwrap();
    let task = task(TaskState::Running, 0, 0.999);
    assert_eq!(hold::status(&task, &settings, Millis(60_000)), ms(450));
    assert_eq!(hold::submit(Lane::Live, None, true, &settings), Duration::from_secs(8));
}

#[test]
fn a_submit_waits_for_what_is_done_soon_and_not_much_longer() {
    let settings = Settings::default();
    let submit = |lane, expected, woken| hold::submit(lane, expected, woken, &settings);
    assert_eq!(submit(Lane::Live, None, true), ms(2000));
    assert_eq!(submit(Lane::Interactive, Some(ms(600)), true), ms(1350));
    assert_eq!(submit(Lane::Interactive, Some(ms(1900)), true), ms(2000));
    for (lane, expected, woken) in [
        (Lane::Live, Some(ms(600)), false),
        (Lane::Interactive, Some(ms(600)), false),
        (Lane::Interactive, Some(ms(2000)), true),
        (Lane::Interactive, None, true),
    ] {
        assert_eq!(
            submit(lane, expected, woken),
            Duration::ZERO,
            "{lane:?} {expected:?} {woken}"
        );
    }
    let never = Settings::parse("hold=0s").unwrap();
    assert_eq!(hold::submit(Lane::Live, Some(ms(1)), true, &never), Duration::ZERO);
}

#[test]
fn open_calls_leave_two_thirds_to_the_others_and_a_painter_takes_two() {
    let places = |painter: &str, concurrency: u32| {
        let settings = Settings {
            concurrency,
            ..Settings::default()
        };
        hold::places(&UserId::new(painter), &settings).collect::<Vec<_>>()
    };
    for (concurrency, most) in [(0, 0), (2, 0), (3, 1), (10, 3), (1000, 333)] {
        for painter in 0..50 {
            let places = places(&painter.to_string(), concurrency);
            assert_eq!(places.len() as u64, most.min(2), "{concurrency}");
            assert!(places.iter().all(|place| *place < most), "{places:?} of {most}");
            assert!(places.len() < 2 || places[0] != places[1]);
        }
    }
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What the plugin sees of a picture in its rhythm: when it has each answer and what that said of progress; the last is
/// the end. `pace`: progress after this share of the run.
fn polled(run: u64, first: u64, pace: impl Fn(f64) -> f64) -> Vec<(u64, f64)> {
    let settings = Settings::default();
    let mut seen = Vec::new();
    let mut asked = first;
    loop {
        // Workers tell their progress twice a second.
        let told = |at: u64| pace((at - at % 500) as f64 / run as f64) as f32;
        let held = hold::status(&task(TaskState::Running, 0, told(asked)), &settings, Millis(asked));
        let answered = (asked + held.as_millis() as u64).min(run.max(asked));
        if answered >= run {
            seen.push((answered, 1.0));
            return seen;
        }
        seen.push((answered, f64::from(told(answered))));
        asked = answered + 500;
    }
}

proptest! {
    #[test]
    fn progress_is_seen_each_second_and_the_end_at_once(
        run in 2_500_u64..60_000,
        first in 1_u64..500,
        second_pass in 0.2_f64..5.0,
    ) {
        // Even; and in two passes of which the second is slower or faster by this factor.
        let even = polled(run, first, |share| share);
        let passes = polled(run, first, |share| {
            let break_at = 1.0 / (1.0 + second_pass);
            if share < break_at { share / break_at / 2.0 } else { 0.5 + (share - break_at) / (1.0 - break_at) / 2.0 }
        });
        for seen in [&even, &passes] {
            for pair in seen.windows(2) {
                prop_assert!(pair[1].0 - pair[0].0 <= 1000, "{seen:?}");
            }
            let (end, _) = seen.last().unwrap();
            prop_assert!(end - run <= 500, "{seen:?}");
        }
    }

    #[test]
    fn an_answer_is_kept_back_only_while_the_end_is_near(
        state in proptest::sample::select(TaskState::ALL.to_vec()),
        claimed_at in 0_u64..1_000_000,
        now in 0_u64..1_000_000,
        progress in prop_oneof![0.0_f32..=1.0, Just(f32::NAN), -2.0_f32..3.0],
        hold in 0_u64..=8000,
    ) {
        let settings = Settings { hold: ms(hold), ..Settings::default() };
        let mut task = task(state, claimed_at, 0.0);
        task.run.as_mut().unwrap().progress = progress;
        let held = hold::status(&task, &settings, Millis(now));
        prop_assert!(held == Duration::ZERO || held == ms(hold.min(450)));
        let done = f64::from(progress.clamp(0.0, 1.0));
        let left = now.saturating_sub(claimed_at) as f64 / 1000.0 * (1.0 - done) / done;
        if state != TaskState::Running || done.is_nan() || done < 0.1 || left > 0.71 {
            prop_assert_eq!(held, Duration::ZERO);
        } else if left < 0.69 {
            prop_assert_eq!(held, ms(hold.min(450)));
        }
    }
}
