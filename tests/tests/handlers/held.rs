//! Calls that are kept open until their picture is done.

use std::{cell::Cell, time::Duration};

use futures_util::future::join_all;
use model::{ConnectionId, Millis, Settings, Task, TaskState, Worker};
use serde_json::{Value, json};
use tasks::held;
use tokio::time::Instant;
use uuid::Uuid;

use crate::support::{
    MARA, NOW, POOL, TASK, WORKER, WORKER_SOCKET, World, http, painter, run_id, seconds, task_id, wire,
};

const STATUS: &str = "POST /v1/status/{id}";

/// What live mode asks for: one picture of a few steps.
fn stroke() -> Value {
    let mut request = wire("01_generate");
    let workflow = &mut request["input"]["workflow"];
    workflow["batch_count"] = 1.into();
    workflow["sampling"]["total_steps"] = 8.into();
    request
}

async fn free_worker(world: &World) -> Worker {
    world.ready(WORKER, "i-1", NOW).await;
    world
        .alter_worker(WORKER, |worker| {
            worker.connection = Some(ConnectionId::new(WORKER_SOCKET));
        })
        .await
}

/// Renders the next task as soon as there is one.
async fn render(world: &World, worker: &Worker, outcome: (&str, Value)) {
    let run = loop {
        match world.claimed(worker, NOW).await {
            Some(run) => break run,
            None => tokio::task::yield_now().await,
        }
    };
    let (operation, mut body) = outcome;
    body["task_id"] = json!(run.task_id);
    body["run_id"] = json!(run.run_id);
    world.work(worker, operation, &body, NOW).await.ok();
}

fn pictures() -> (&'static str, Value) {
    let times = json!({ "fetch_ms": 1, "execute_ms": 2, "upload_ms": 3 });
    ("result", json!({ "offsets": [0], "size": 9, "times": times }))
}

/// A world in which calls are kept open for so long.
async fn holding(hold: &str) -> World {
    World::set(Settings::parse(&format!("hold={hold}")).unwrap()).await
}

#[tokio::test]
async fn a_brush_stroke_is_answered_with_its_picture() {
    let world = holding("1m").await;
    let worker = free_worker(&world).await;
    let stroke = stroke();
    let (answer, ()) = tokio::join!(world.submit(MARA, &stroke, NOW), render(&world, &worker, pictures()));
    let answer = answer.ok();
    let [task] = world.tasks().try_into().unwrap();
    let key = task.result.unwrap().key;
    assert_eq!(
        answer,
        json!({
            "id": task.task_id,
            "worker_id": POOL,
            "status": "COMPLETED",
            "output": { "images": { "url": format!("memory:get/{key}"), "offsets": [0] } },
            "times": { "fetch_ms": 1, "execute_ms": 2, "upload_ms": 3 },
            // Settled already: a run of no time costs nothing.
            "user": { "images_generated": 1, "credits": 1000 },
            "position": 1,
            "eta_s": answer["eta_s"],
        })
    );
}

#[tokio::test]
async fn who_hears_of_it_otherwise_is_not_kept_waiting() {
    for (prefers, status) in [
        ("respond-async", "IN_QUEUE"),
        ("wait=10, Respond-Async", "IN_QUEUE"),
        ("wait=10", "COMPLETED"),
    ] {
        let world = holding("1m").await;
        let worker = free_worker(&world).await;
        let mut event = http("POST /v1/generate", "", Some(&painter(MARA)), &stroke());
        event["headers"]["prefer"] = prefers.into();
        let (answer, ()) = tokio::join!(world.http(event, NOW), render(&world, &worker, pictures()));
        assert_eq!(answer.ok()["status"], status, "{prefers}");
    }
}

#[tokio::test]
async fn a_failure_is_left_to_the_first_status() {
    let world = holding("1m").await;
    let worker = free_worker(&world).await;
    let failure = ("failure", json!({ "class": "user", "message": "It is no picture." }));
    let stroke = stroke();
    let (answer, ()) = tokio::join!(world.submit(MARA, &stroke, NOW), render(&world, &worker, failure));
    let answer = answer.ok();
    assert_eq!(answer["status"], "IN_QUEUE");
    let id = answer["id"].as_str().unwrap().to_owned();
    let status = world.paint(MARA, STATUS, &id, &json!({}), NOW).await.ok();
    assert_eq!(status["status"], "FAILED");
}

#[tokio::test]
async fn only_what_is_done_soon_and_a_free_worker_heard_of_is_waited_for() {
    let world = holding("1s").await;
    // Nobody is there.
    assert_eq!(world.submit(MARA, &stroke(), NOW).await.ok()["status"], "IN_QUEUE");
    // Somebody is, but cannot be told.
    free_worker(&world).await;
    world.memory.close(&ConnectionId::new(WORKER_SOCKET));
    assert_eq!(world.submit(MARA, &stroke(), NOW).await.ok()["status"], "IN_QUEUE");
    // Eight pictures of twenty steps take longer than anybody would wait.
    let world = holding("1s").await;
    free_worker(&world).await;
    assert_eq!(
        world.submit(MARA, &wire("01_generate"), NOW).await.ok()["status"],
        "IN_QUEUE"
    );
}

#[tokio::test]
async fn a_warm_picture_that_takes_no_longer_is_answered_with_it_too() {
    let world = holding("8s").await;
    let worker = free_worker(&world).await;
    let mut request = wire("01_generate");
    request["input"]["workflow"]["batch_count"] = 1.into();
    let (answer, ()) = tokio::join!(world.submit(MARA, &request, NOW), render(&world, &worker, pictures()));
    assert_eq!(answer.ok()["status"], "COMPLETED");
    assert_eq!(world.tasks()[0].lane, model::Lane::Interactive);
}

#[tokio::test]
async fn a_painter_takes_two_places_a_task_one_and_all_together_a_third() {
    let world = World::set(Settings::parse("hold=8s,concurrency=10").unwrap()).await;
    let wait = async |owner: &str, task: u128| {
        let id = world.queued(&Uuid::from_u128(task).to_string(), owner, NOW).await;
        let task = world.task(&id).await;
        // Only who has a place looks again.
        let looked = Cell::new(false);
        let wanted = |_: &Task| {
            looked.set(true);
            false
        };
        let time = Duration::from_millis(600);
        held::until(&world.cloud.store, &world.settings, task, time, NOW, wanted).await;
        u32::from(looked.get())
    };
    let (first, second) = tokio::join!(wait(MARA, 1), wait(MARA, 1));
    assert_eq!(first + second, 1, "so many calls wait for one task");
    let of_one: u32 = join_all((1..=4).map(|task| wait(MARA, task))).await.into_iter().sum();
    assert!((1..=2).contains(&of_one), "{of_one} calls of one painter are open");
    let owners: Vec<String> = (0..12).map(|it| format!("painter{it}")).collect();
    let of_all: u32 = join_all(owners.iter().zip(10..).map(|(owner, task)| wait(owner, task)))
        .await
        .into_iter()
        .sum();
    assert!((1..=3).contains(&of_all), "{of_all} calls are open");
    for task in 30..33 {
        assert_eq!(wait(MARA, task).await, 1, "the place was not given back");
    }
}

#[tokio::test]
async fn nobody_waits_longer_than_is_set() {
    let world = holding("200ms").await;
    free_worker(&world).await;
    let started = Instant::now();
    assert_eq!(world.submit(MARA, &stroke(), NOW).await.ok()["status"], "IN_QUEUE");
    assert!(started.elapsed() < seconds(30));
}

/// The golden run, this far after ten seconds.
async fn at(world: &World, progress: f32) -> (Worker, Millis) {
    let (_, worker) = world.running(NOW).await;
    let change = |task: &mut Task| assert!(task.take_progress(run_id(), 1, progress).unwrap());
    world.alter_task(&task_id(), change).await;
    (worker, NOW + seconds(10))
}

#[tokio::test]
async fn a_status_is_kept_open_while_the_end_is_near_and_no_longer() {
    let world = holding("5s").await;
    let (_, now) = at(&world, 0.5).await;
    let started = Instant::now();
    let status = world.paint(MARA, STATUS, TASK, &json!({}), now).await.ok();
    assert_eq!(status["output"]["progress"], 0.5);
    assert!(
        started.elapsed() < seconds(5),
        "ten seconds are left, and the answer was kept back"
    );

    let world = holding("1m").await;
    let (worker, now) = at(&world, 0.99).await;
    let (operation, mut body) = pictures();
    body["task_id"] = json!(TASK);
    body["run_id"] = json!(run_id());
    let nothing = json!({});
    let (status, ended) = tokio::join!(
        world.paint(MARA, STATUS, TASK, &nothing, now),
        world.work(&worker, operation, &body, now)
    );
    assert!(ended.ok()["accepted"].as_bool().unwrap());
    assert_eq!(status.ok()["status"], "COMPLETED");
}

#[tokio::test]
async fn a_cancel_ends_a_status_that_is_kept_open() {
    let world = holding("1m").await;
    let (_, now) = at(&world, 0.99).await;
    let body = json!({});
    let (status, canceled) = tokio::join!(
        world.paint(MARA, STATUS, TASK, &body, now),
        world.paint(MARA, "POST /v1/cancel/{worker}/{id}", TASK, &body, now)
    );
    canceled.ok();
    assert_eq!(status.ok()["status"], "CANCELLED");
    assert_eq!(world.task(&task_id()).await.state, TaskState::Canceling);
}
