//! `archive`: the record of each task that is over, however its changes come.

use cloud::{
    Write,
    fault::{Fault, How},
    store::StorePort,
    tables::{BodyOf, Id},
};
use history::{Record, record_key};
use model::{CancelCause, Millis, Outcome, Parameters, RunTimes, Settings, Task, TaskId, TaskResult, TaskState};
use proptest::prelude::*;
use serde_json::json;

use crate::{
    golden::{unknown, walk},
    support::{MARA, NOW, TASK, World, changes, minutes, run_id, scrubbed, seconds, task_id, thorough},
};

const DAY: Millis = Millis(24 * 60 * 60 * 1000);

fn run(claimed_at: Millis) -> model::Run {
    model::Run {
        run_id: run_id(),
        worker_id: model::WorkerId::new("w"),
        generation: None,
        claimed_at,
        lease_until: NOW,
        deadline: NOW,
        seq: 0,
        progress: 0.0,
    }
}

fn id(number: u64) -> String {
    format!("01a05cd7-2a00-7000-8000-{number:012x}")
}

/// A task that is over by its painter's wish.
async fn canceled(world: &World, number: u64) -> TaskId {
    let task = world.queued(&id(number), MARA, NOW - minutes(2)).await;
    let cancel = |task: &mut Task| {
        task.cancel(CancelCause::User, NOW);
    };
    world.alter_task(&task, cancel).await;
    task
}

/// What the bucket has of the task.
async fn record(world: &World, task: &TaskId) -> Option<Record> {
    let key = record_key(&world.task(task).await);
    let object = world.memory.cloud().bucket.read(&key).await.unwrap()?;
    let lines = history::lines(&key, &object.bytes).unwrap();
    assert_eq!(lines.len(), 1);
    Some(serde_json::from_str(&lines[0]).unwrap())
}

/// Whether its item says that it has a record, and for how long it then stays.
async fn noted(world: &World, task: &TaskId) -> bool {
    let task = world.task(task).await;
    assert_eq!(task.ttl.is_some(), task.archived_at.is_some(), "{task:?}");
    assert_eq!(task.unarchived.is_none(), task.archived_at.is_some(), "{task:?}");
    task.archived_at.is_some()
}

#[tokio::test]
async fn golden_events() {
    let golden = walk("archive", async |name, event| {
        let world = World::new().await;
        match name {
            "day" => {
                canceled(&world, 1).await;
                world.stream(changes(&[id(1).parse().unwrap()]), NOW).await;
                let done = world.put_together(NOW + minutes(24 * 60)).await;
                let keys = world.cloud.bucket.list("", None).await.unwrap();
                return json!({ "failed": done.is_err(), "objects": keys });
            }
            "stream" => {
                let task = world.queued(TASK, MARA, NOW - seconds(9)).await;
                let cancel = |task: &mut Task| {
                    task.cancel(CancelCause::User, NOW);
                };
                world.alter_task(&task, cancel).await;
            }
            other => unknown(other),
        }
        let response = world.stream(event, NOW).await;
        let record = record(&world, &task_id()).await;
        scrubbed(json!({ "response": response, "record": record, "task": world.task(&task_id()).await }))
    });
    Box::pin(golden).await;
}

#[tokio::test]
async fn a_record_has_all_that_is_known_and_the_item_goes_a_week_later() {
    let world = World::new().await;
    let task = world.queued(&id(1), MARA, NOW - seconds(30)).await;
    let mut body = world.get(&BodyOf(task)).await;
    body.parameters = Some(Parameters {
        kind: "generate".to_owned(),
        prompt: "a tree".to_owned(),
        seed: Some(u64::MAX),
        ..Parameters::default()
    });
    let asked = body.parameters.clone();
    world.put(body).await;
    let done = TaskResult {
        key: format!("results/{task}/{}", run_id()),
        offsets: vec![0],
        size: 20,
        ..TaskResult::default()
    };
    world
        .alter_task(&task, |task| {
            task.start(run(NOW - seconds(20))).unwrap();
            task.end_run(run_id(), Outcome::Succeeded(done, RunTimes::default()), NOW)
                .unwrap();
        })
        .await;
    assert_eq!(world.stream(changes(&[task]), NOW).await.failures, []);
    let record = record(&world, &task).await.unwrap();
    assert_eq!((record.gpu_ms, record.task.state), (20_000, TaskState::Succeeded));
    let last = record.task.last_run.unwrap();
    assert_eq!((last.run_id, last.worker_id.as_str()), (run_id(), "w"));
    assert_eq!(record.parameters, asked);
    let item = world.task(&task).await;
    assert_eq!(item.ttl, Some((NOW + world.settings.task_life).seconds()));
}

#[tokio::test]
async fn doubles_and_changes_of_what_is_not_over_write_nothing_new() {
    let world = World::new().await;
    let over = canceled(&world, 1).await;
    let waits = world.queued(&id(2), MARA, NOW).await;
    let event = changes(&[over, waits, over, over]);
    assert_eq!(world.stream(event.clone(), NOW).await.failures, []);
    assert!(noted(&world, &over).await && !world.task(&waits).await.state.is_terminal());
    assert_eq!(record(&world, &waits).await, None);
    let before = world.written();
    assert_eq!(world.stream(event, NOW + minutes(5)).await.failures, []);
    assert_eq!(world.written(), before, "a double writes nothing");
}

#[tokio::test]
async fn what_cannot_be_handled_holds_up_nothing_else() {
    let world = World::new().await;
    let good = canceled(&world, 1).await;
    let gone: TaskId = id(2).parse().unwrap();
    // A state of a later release, after a roll-back.
    let broken = canceled(&world, 3).await;
    let (key, mut item) = world
        .memory
        .items()
        .into_iter()
        .find(|(key, _)| *key == broken.key())
        .unwrap();
    item.insert("state".to_owned(), json!("rehearsing"));
    item.insert("version".to_owned(), json!(9));
    let expect = 2;
    let item = Some(item);
    StorePort::commit(&world.memory, &[Write { key, expect, item }])
        .await
        .unwrap();
    let mut event = changes(&[gone, broken, good]);
    let odd = [
        json!(null),
        json!({}),
        json!("text"),
        json!({ "dynamodb": { "Keys": { "task_id": { "N": "1" } } } }),
    ];
    event["Records"].as_array_mut().unwrap().splice(0..0, odd);
    assert_eq!(world.stream(event, NOW).await.failures, []);
    assert!(noted(&world, &good).await);
}

#[tokio::test]
async fn one_that_fails_is_reported_alone_and_comes_again() {
    for (of, at) in [("store.get", 1), ("bucket.put_if", 2), ("store.commit", 2)] {
        let world = World::watched(Settings::default()).await;
        let mut tasks = Vec::new();
        for number in 1..=3 {
            tasks.push(canceled(&world, number).await);
        }
        world.faults.plan(Fault {
            of: Some(of),
            at,
            how: How::Fail,
        });
        let event = changes(&tasks);
        let failures = world
            .faults
            .run(world.stream(event.clone(), NOW))
            .await
            .unwrap()
            .failures;
        assert_eq!(failures.len(), 1, "{of}");
        let failed: usize = failures[0].number.parse().unwrap();
        for (task, number) in tasks.iter().zip(1..) {
            assert_eq!(noted(&world, task).await, number != failed, "{of}");
        }
        assert_eq!(world.stream(event, NOW + seconds(1)).await.failures, []);
        for task in &tasks {
            assert!(noted(&world, task).await && record(&world, task).await.is_some());
        }
    }
}

/// The clock of whoever submitted was ahead of the others', over midnight.
#[tokio::test]
async fn clocks_that_differ_lose_nothing() {
    let world = World::new().await;
    let midnight = Millis(NOW.0 / DAY.0 * DAY.0 + DAY.0);
    let created = midnight + minutes(3);
    let task = world.queued(&id(1), MARA, created).await;
    let began = midnight - minutes(2);
    world
        .alter_task(&task, |task| {
            task.start(run(began)).unwrap();
            let done = TaskResult {
                key: format!("results/{}/{}", task.task_id, run_id()),
                offsets: vec![0],
                size: 20,
                ..TaskResult::default()
            };
            // Even before it began.
            let ended = began - seconds(30);
            task.end_run(run_id(), Outcome::Succeeded(done, RunTimes::default()), ended)
                .unwrap();
        })
        .await;
    let now = midnight - minutes(1);
    assert_eq!(world.stream(changes(&[task]), now).await.failures, []);
    let found = record(&world, &task).await.unwrap();
    assert_eq!((found.gpu_ms, found.task.cost.0), (0, 0), "no time is made up");
    let loose = async || {
        world
            .cloud
            .bucket
            .read(&record_key(&found.task))
            .await
            .unwrap()
            .is_some()
    };
    // Its day has not passed, whatever the archive's clock says of today.
    for (day, still) in [(midnight, true), (midnight + minutes(24 * 60), false)] {
        world.put_together(day + minutes(1)).await.unwrap();
        assert_eq!(loose().await, still, "{day:?}");
    }
    let listed = world.paint(MARA, "GET /v1/tasks", "", &json!(null), now).await.ok();
    assert_eq!(listed["tasks"][0]["task_id"], task.to_string());
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_task_that_is_canceled_while_it_is_archived_has_the_record_of_its_end() {
    let mut ends = std::collections::BTreeSet::new();
    for seed in 0..if thorough() { 200 } else { 30 } {
        let world = World::unkind(seed).await;
        let (task, worker) = world.running(NOW - seconds(9)).await;
        let id = task.task_id;
        world.port.dawdle(seed);
        // The stream shows a write of which more follow at that very moment.
        let cancel = async || {
            let nothing = json!({});
            world
                .paint(MARA, "POST /v1/cancel/{worker}/{id}", TASK, &nothing, NOW)
                .await
        };
        let result = json!({
            "task_id": id, "run_id": run_id(), "offsets": [0], "size": 9,
            "times": { "fetch_ms": 1, "execute_ms": 2, "upload_ms": 3 },
        });
        let result = world.work(&worker, "result", &result, NOW);
        let stream = async || world.stream(changes(&[id]), NOW).await;
        tokio::join!(stream(), cancel(), result, stream(), async {
            stream().await;
            stream().await;
        });
        // What was refused for a conflict is said again, and each write shows in the stream in the end.
        while cancel().await.status == 503 {}
        if !world.task(&id).await.state.is_terminal() {
            let failure = json!({ "task_id": id, "run_id": run_id() });
            world.work(&worker, "failure", &failure, NOW).await;
        }
        while !stream().await.failures.is_empty() {}
        let item = world.task(&id).await;
        assert!(item.state.is_terminal() && noted(&world, &id).await, "{seed}: {item:?}");
        let record = record(&world, &id).await.unwrap();
        assert_eq!(record.task.state, item.state, "{seed}");
        assert_eq!(record.task.result, item.result, "{seed}");
        ends.insert(item.state.word());
        // Whoever cancels what is over and archived changes nothing.
        let before = world.written();
        cancel().await.ok();
        stream().await;
        assert_eq!(world.written(), before, "{seed}");
    }
    assert!(ends.len() > 1, "they never meet: {ends:?}");
}

/// Whichever call fails, is done twice, loses its answer or is the last: never is an item noted without its record.
#[tokio::test]
async fn no_item_goes_before_its_record_is_there() {
    let world = World::watched(Settings::default()).await;
    let task = canceled(&world, 1).await;
    world.faults.take();
    world.stream(changes(&[task]), NOW).await;
    let calls = world.faults.take().len();
    assert!(calls > 5, "{calls}");
    for how in How::ALL {
        for at in 1..=calls {
            let world = World::watched(Settings::default()).await;
            let task = canceled(&world, 1).await;
            world.faults.plan(Fault { of: None, at, how });
            let _ = world.faults.run(world.stream(changes(&[task]), NOW)).await;
            assert!(
                !noted(&world, &task).await || record(&world, &task).await.is_some(),
                "{how:?} {at}"
            );
            world.stream(changes(&[task]), NOW + seconds(1)).await;
            assert!(
                noted(&world, &task).await && record(&world, &task).await.is_some(),
                "{how:?} {at}"
            );
        }
    }
}

#[tokio::test]
async fn what_the_stream_has_lost_is_offered_again_after_an_hour() {
    let world = World::lagging(3).await;
    let task = canceled(&world, 1).await;
    let ticks = async |from: Millis, minutes_long: u64| {
        for minute in 0..minutes_long {
            world.tick(from + minutes(minute)).await;
        }
    };
    let version = world.task(&task).await.version;
    ticks(NOW, 50).await;
    assert_eq!(world.task(&task).await.version, version, "the stream has its hour");
    ticks(NOW + minutes(61), 40).await;
    let offered = world.task(&task).await;
    assert!(offered.version > version && offered.unarchived.is_some(), "{offered:?}");
    assert!(offered.offer_at.unwrap() > NOW + minutes(100), "not each minute");
    // The write shows in the stream.
    world.stream(changes(&[task]), NOW + minutes(102)).await;
    let version = world.task(&task).await.version;
    ticks(NOW + minutes(200), 20).await;
    assert_eq!(world.task(&task).await.version, version, "it has its record");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// However changes come, each task that is over gets one record and no other does.
    #[test]
    fn each_task_that_is_over_has_its_record_whatever_comes(
        seed in 0_u64..1000,
        order in prop::collection::vec(0_usize..6, 0..20),
        cut in prop::collection::vec(1_usize..6, 0..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let world = World::unkind(seed).await;
            let mut tasks = Vec::new();
            for number in 0..6_u64 {
                tasks.push(if number % 3 == 0 {
                    world.queued(&id(number + 1), MARA, NOW).await
                } else {
                    canceled(&world, number + 1).await
                });
            }
            let mut seen: Vec<TaskId> = order.iter().map(|at| tasks[*at]).collect();
            seen.extend(&tasks);
            let mut rest = &seen[..];
            for many in cut.iter().copied().chain([usize::MAX]) {
                let (now, later) = rest.split_at(many.min(rest.len()));
                let mut open = now.to_vec();
                // What fails comes again.
                while !open.is_empty() {
                    let failed = world.stream(changes(&open), NOW).await.failures;
                    let first = failed.iter().filter_map(|it| it.number.parse::<usize>().ok()).min();
                    open = first.map_or_else(Vec::new, |first| open[first - 1..].to_vec());
                }
                rest = later;
            }
            for task in &tasks {
                let over = world.task(task).await.state.is_terminal();
                assert_eq!(record(&world, task).await.is_some(), over);
                assert!(!over || noted(&world, task).await);
            }
        });
    }
}
