//! When a call is kept open.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use model::{Lane, Millis, Settings, Task, TaskState};
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
    assert_eq!(hold::status(&task, &settings, Millis(60_000)), Duration::from_secs(8));
    assert_eq!(hold::submit(Lane::Live, true, &settings), Duration::from_secs(8));
}

proptest! {
    #[test]
    fn an_answer_is_kept_back_only_while_the_end_is_near(
        state in proptest::sample::select(TaskState::ALL.to_vec()),
        claimed_at in 0_u64..1_000_000,
        now in 0_u64..1_000_000,
        progress in prop_oneof![0.0_f32..=1.0, Just(f32::NAN), -2.0_f32..3.0],
        seconds in 0_u64..=8,
    ) {
        let settings = Settings { hold: Duration::from_secs(seconds), ..Settings::default() };
        let mut task = task(state, claimed_at, 0.0);
        task.run.as_mut().unwrap().progress = progress;
        let held = hold::status(&task, &settings, Millis(now));
        prop_assert!(held == Duration::ZERO || held == settings.hold);
        let done = f64::from(progress.clamp(0.0, 1.0));
        let left = now.saturating_sub(claimed_at) as f64 / 1000.0 * (1.0 - done) / done;
        if state != TaskState::Running || done.is_nan() || done < 0.1 || left > seconds as f64 + 0.01 {
            prop_assert_eq!(held, Duration::ZERO);
        } else if left < seconds as f64 - 0.01 {
            prop_assert_eq!(held, settings.hold);
        }
    }
}
