//! What lies in the tables and goes over the wire: its form, its size, and what old and new versions make of it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::time::Duration;

use common::{task, worker};
use model::{
    BacklogEntry, Band, CancelCause, Estimate, Failure, FailureClass, InstanceId, Keep, Kept, Load, Millis, Outcome,
    PoolId, Run, RunId, RunTimes, Settings, Task, TaskId, TaskResult, TeamId, UserId, Worker, WorkerId,
    socket::{ClientMessage, ServerMessage, TaskView},
    storable,
    worker_api::{Claim, Heartbeat, HeartbeatReply, RunFailure},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

const NOW: Millis = Millis(1_788_264_000_000);

fn run() -> Run {
    Run {
        run_id: RunId::new(Uuid::from_u128(0x01a0_5cd7_2a00_7000_8000_0000_0000_00b1)),
        worker_id: WorkerId::new("w-01a05cd72a0070008000000000000001"),
        claimed_at: NOW,
        generation: Some(1),
        lease_until: NOW + Duration::from_secs(30),
        deadline: NOW + Duration::from_mins(9),
        seq: 41,
        progress: 0.35,
    }
}

fn ended(outcome: Outcome) -> Task {
    let mut task = task(NOW);
    task.start(run()).unwrap();
    task.end_run(run().run_id, outcome, NOW + Duration::from_secs(7))
        .unwrap();
    task
}

fn succeeded(pictures: u64) -> Task {
    let result = TaskResult {
        key: format!("results/{}/{}", task(NOW).task_id, run().run_id),
        offsets: (0..pictures).map(|number| number * 1_301_220).collect(),
        lora_warning: false,
        size: pictures * 1_301_220,
        pose: None,
        thumbnails: true,
        kept: Some(Kept {
            how: Keep::Always,
            at: NOW,
        }),
    };
    let times = RunTimes {
        fetch: 120,
        execute: 95_210,
        upload: 1840,
    };
    ended(Outcome::Succeeded(result, times))
}

#[test]
fn a_tasks_items() {
    let mut running = task(NOW);
    running.start(run()).unwrap();
    let mut canceling = running.clone();
    canceling.cancel(CancelCause::User, NOW);
    insta::assert_json_snapshot!("task-queued", task(NOW));
    insta::assert_json_snapshot!("task-running", running);
    insta::assert_json_snapshot!("task-canceling", canceling);
    insta::assert_json_snapshot!("task-succeeded", succeeded(2));
    let failure = Failure::new(FailureClass::User, "This model does not fit into the GPU's memory.");
    insta::assert_json_snapshot!("task-failed", ended(Outcome::Failed(failure)));
    insta::assert_json_snapshot!("backlog-entry", BacklogEntry::from(&task(NOW)));
}

/// What DynamoDB counts: names and values, and a little for each nested thing.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(number) => number.to_string().len() / 2 + 2,
        Value::String(text) => text.len(),
        Value::Array(list) => 3 + list.iter().map(|it| 1 + size(it)).sum::<usize>(),
        Value::Object(map) => 3 + map.iter().map(|(name, it)| 1 + name.len() + size(it)).sum::<usize>(),
    }
}

#[test]
fn a_task_stays_under_a_kilobyte() {
    let failure = |class| Outcome::Failed(Failure::new(class, "x".repeat(5000)));
    let mut waiting_again = ended(failure(FailureClass::Infrastructure));
    let mut running_again = waiting_again.clone();
    running_again.start(run()).unwrap();
    waiting_again.failures = 2;
    let mut canceling = running_again.clone();
    canceling.cancel(CancelCause::Expired, NOW);
    for mut task in [
        task(NOW),
        waiting_again,
        running_again,
        canceling,
        succeeded(16),
        ended(failure(FailureClass::User)),
    ] {
        // Longer names than a studio would choose; ids of a sign-in service are like this.
        task.owner = UserId::new("d290f1ee-6c54-4b01-90e6-d701748f0851");
        task.team = TeamId::new("the-longest-team-name-there-is");
        task.pool = PoolId::new("the-longest-pool-name-there-is");
        task.backlog = task.backlog.map(|_| task.pool.clone());
        task.kind = Some("upscale_tiled".to_owned());
        task.model = Some("sdxl/a-checkpoint-with-a-rather-long-name_v12.safetensors".to_owned());
        let size = size(&serde_json::to_value(&task).unwrap());
        assert!(size < 1024, "{size} bytes: {task:?}");
    }
}

#[test]
fn items_of_other_versions_can_be_read() {
    let mut item = serde_json::to_value(task(NOW)).unwrap();
    item["from_the_future"] = json!({ "x": 1 });
    assert_eq!(serde_json::from_value::<Task>(item).unwrap(), task(NOW));
    let mut item = serde_json::to_value(worker(NOW)).unwrap();
    for name in ["failures", "proof_date", "last_seen"] {
        item.as_object_mut().unwrap().remove(name);
    }
    item["from_the_future"] = true.into();
    serde_json::from_value::<Worker>(item).unwrap();
}

#[test]
fn the_backlog_shows_what_the_index_projects() {
    let entry = serde_json::to_value(BacklogEntry::from(&task(NOW))).unwrap();
    let mut shown: Vec<_> = entry.as_object().unwrap().keys().map(String::as_str).collect();
    shown.sort_unstable();
    let projected = [
        "created",
        "expires_at",
        "lane",
        "model",
        "owner",
        "seen_at",
        "start_tag",
        "task_id",
        "team",
        "work",
    ];
    assert_eq!(shown, projected, "the template's index `backlog` must project these");
    // And it is read from the task's own item.
    let item = serde_json::to_value(task(NOW)).unwrap();
    assert_eq!(
        serde_json::from_value::<BacklogEntry>(item).unwrap(),
        BacklogEntry::from(&task(NOW))
    );
}

#[test]
fn messages_on_the_socket() {
    let id = task(NOW).task_id;
    let run_id = run().run_id;
    for message in [
        ServerMessage::Task(Box::new(TaskView::from(&task(NOW)))),
        ServerMessage::Wake { task_id: Some(id) },
        ServerMessage::Wake { task_id: None },
        ServerMessage::Cancel { run_id },
        ServerMessage::Drain,
        ServerMessage::Pong,
    ] {
        let text = serde_json::to_string(&message).unwrap();
        assert_eq!(serde_json::from_str::<ServerMessage>(&text).unwrap(), message, "{text}");
    }
    insta::assert_json_snapshot!(
        "socket-task",
        ServerMessage::Task(Box::new(TaskView {
            note: Some("A GPU is waking up; this takes one or two minutes.".to_owned()),
            ..TaskView::from(&ended(Outcome::Interrupted))
        }))
    );
    for (text, wanted) in [
        (json!({ "action": "ping" }), ClientMessage::Ping),
        (json!({ "action": "active", "user": "noor" }), ClientMessage::Active),
        (json!({ "action": "sync" }), ClientMessage::Sync { tasks: vec![] }),
        (
            json!({ "action": "progress", "task_id": id, "run_id": run_id, "seq": 1, "value": 0.5, "new": 1 }),
            ClientMessage::Progress {
                task_id: id,
                run_id,
                seq: 1,
                value: 0.5,
            },
        ),
    ] {
        assert_eq!(serde_json::from_value::<ClientMessage>(text).unwrap(), wanted);
    }
}

#[test]
fn calls_of_workers_may_leave_out_what_they_do_not_know() {
    assert_eq!(serde_json::from_value::<Claim>(json!({})).unwrap().task_id, None);
    let beat: Heartbeat = serde_json::from_value(json!({ "ready": true, "new": 1 })).unwrap();
    assert!(beat.ready && beat.run.is_none() && beat.gpu.is_none() && beat.models.is_empty());
    let reply: HeartbeatReply = serde_json::from_value(json!({})).unwrap();
    assert_eq!(reply, HeartbeatReply::default());
    let text = json!({ "run_id": run().run_id, "task_id": task(NOW).task_id });
    let interrupted: RunFailure = serde_json::from_value(text).unwrap();
    assert!(interrupted.class.is_none() && interrupted.message.is_empty());
}

// ---------------------------------------------------------------- ids, times, settings

proptest! {
    #![proptest_config(common::cases(256))]

    #[test]
    fn ids_are_read_as_they_are_shown(value in any::<u128>(), text in "[a-zA-Z0-9_.:@=-]{1,128}") {
        let id = TaskId::new(Uuid::from_u128(value));
        prop_assert_eq!(id.to_string().parse::<TaskId>().unwrap(), id);
        prop_assert_eq!(serde_json::to_value(id).unwrap(), Value::from(id.to_string()));
        let worker: WorkerId = text.parse().unwrap();
        prop_assert_eq!(worker.as_str(), &text);
        prop_assert_eq!(UserId::of_worker(&worker).as_worker(), Some(worker));
    }

    #[test]
    fn ids_hold_nothing_that_means_something_in_a_key_or_path(text in "\\PC{0,140}") {
        if let Ok(id) = text.parse::<InstanceId>() {
            prop_assert!(!id.as_str().is_empty() && id.as_str().len() <= 128);
            prop_assert!(!id.as_str().contains(['/', '#', ' ', '%', '?', '\\', '"']));
        }
        let _ = text.parse::<TaskId>();
    }

    #[test]
    fn times_never_wrap(a in any::<u64>(), b in any::<u64>(), millis in any::<u64>()) {
        let span = Duration::from_millis(millis);
        prop_assert!(Millis(a) + span >= Millis(a));
        prop_assert!(Millis(a) - span <= Millis(a));
        prop_assert_eq!(Millis(a).since(Millis(b)).is_zero(), a <= b);
        prop_assert!(Millis(a) + Duration::MAX >= Millis(a));
    }

    #[test]
    fn a_run_has_a_limit_whatever_its_work(work in any::<f64>()) {
        let settings = Settings::default();
        let limit = settings.run_limit(work);
        prop_assert!(limit >= settings.run_floor && limit < Duration::from_hours(24 * 365));
        let wild = Settings { run_per_work: Duration::MAX, ..settings };
        prop_assert!(wild.run_limit(work) >= limit);
    }

    #[test]
    fn settings_never_panic(text in "\\PC{0,80}") {
        let _ = Settings::parse(&text);
    }
}

#[test]
fn settings_are_read_over_the_defaults() {
    let settings = Settings::parse("lease=45s, idle_stop=20m gpu_quiet_percent=9,max_upload=1000").unwrap();
    assert_eq!(
        (settings.lease, settings.idle_stop),
        (Duration::from_secs(45), Duration::from_mins(20))
    );
    assert_eq!((settings.gpu_quiet_percent, settings.max_upload), (9, 1000));
    assert_eq!(settings.worker_silent, Settings::default().worker_silent);
    assert_eq!(Settings::parse(" ,, ").unwrap(), Settings::default());
    for (text, error) in [
        ("lease", "`lease` is not key=value"),
        ("leese=3s", "there is no setting `leese`"),
        ("lease=soon", "`soon` is no value for the setting `lease`"),
        (
            "gpu_quiet_percent=-1",
            "`-1` is no value for the setting `gpu_quiet_percent`",
        ),
    ] {
        assert_eq!(Settings::parse(text).unwrap_err().to_string(), error);
    }
}

/// The table is what parses, what is there, and what is told of it.
#[test]
fn every_setting_is_in_the_table_and_can_be_set() {
    let defaults = Settings::default();
    let shown = serde_json::to_value(&defaults).unwrap();
    let mut names: Vec<_> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let mut table: Vec<_> = Settings::TABLE.iter().map(|row| row.name).collect();
    table.sort_unstable();
    assert_eq!(table, names);
    for row in Settings::TABLE {
        let name = row.name;
        let written = row.of(&defaults);
        let set = |text: &str| Settings::parse(&format!("{name}={text}")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(set(&written), defaults, "{name}={written} is the default");
        let other = set(if shown[name].is_object() { "7m1s" } else { "7" });
        assert_ne!(other, defaults, "{name}");
        assert_eq!(set(&row.of(&other)), other, "{name} is read as it is written");
        for bad in ["", "-1", "soon", "1e3"] {
            let error = Settings::parse(&format!("{name}={bad}")).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("`{bad}` is no value for the setting `{name}`")
            );
        }
        let line = row.to_string();
        let columns: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, first, second, meaning, _] = columns[..] else {
            panic!("{line} has not three columns");
        };
        assert_eq!((first, second), (format!("`{name}`").as_str(), written.as_str()));
        assert!(meaning.ends_with('.') && !meaning.contains("  "), "{meaning}");
    }
}

#[test]
fn the_settings() {
    let defaults = Settings::default();
    let rows = Settings::TABLE
        .iter()
        .map(|row| format!("{}={}", row.name, row.of(&defaults)));
    insta::assert_snapshot!("settings", rows.collect::<Vec<_>>().join("\n"));
}

proptest! {
    #![proptest_config(common::cases(512))]

    /// DynamoDB's numbers go from 1E-130 to 9.9E+125; whatever was learned can be stored, and is read as it was stored.
    #[test]
    fn what_was_learned_can_be_stored(mean in any::<f64>(), tiny in -700_i32..700) {
        for number in [mean, mean.signum() * 10_f64.powi(tiny), f64::MIN_POSITIVE, f64::NAN, f64::NEG_INFINITY, -0.0] {
            let estimate = Estimate { mean: number, samples: 1 };
            let load = Load { erlangs: number, at: NOW };
            let band = Band { p50: number, p90: number };
            let stored = [
                serde_json::to_value(estimate).unwrap()["mean"].clone(),
                serde_json::to_value(load).unwrap()["erlangs"].clone(),
                serde_json::to_value(band).unwrap()["p90"].clone(),
            ];
            for stored in stored {
                let it = stored.as_f64().unwrap();
                prop_assert!(it == 0.0 || (1e-100..1e100).contains(&it.abs()), "{number} as {it}");
                prop_assert_eq!(storable(it).to_bits(), it.to_bits());
                if (1e-9..1e15).contains(&number.abs()) {
                    prop_assert_eq!(it.to_bits(), number.to_bits(), "what is worth knowing is kept");
                }
            }
        }
    }
}
