//! What stands between a GPU and its next picture: calls to AWS that happen one after the other.

use cloud::fault::{Call, depth};
use model::{ConnectionId, Pool, PoolId, Settings, TeamId, UserId};
use serde_json::{Value, json};
use tasks::recording;

use crate::support::{INSTANCE, MARA, NOW, OTHER, TASK, WORKER, World, run_id, seconds, wire};

const NEXT: &str = "01a05cd7-2a00-7000-8000-0000000000a2";

fn shown(calls: &[Call]) -> String {
    let lines: Vec<_> = calls
        .iter()
        .map(|call| format!("{} {} {:?}", call.began, call, call.ended))
        .collect();
    lines.join("\n")
}

fn reads_of_workers(calls: &[Call]) -> usize {
    calls
        .iter()
        .filter(|it| it.name == "store.get" && it.on == "Fleet")
        .count()
}

/// A worker that has just rendered one picture while another waits; both painters listen.
async fn between_two_pictures() -> World {
    let world = World::watched(Settings::default()).await;
    world.running(NOW).await;
    world.queued(NEXT, OTHER, NOW).await;
    world.painter_socket().await;
    world
        .socket("others-socket=", UserId::new(OTHER), model::Role::Painter, NOW)
        .await;
    world.faults.take();
    world
}

#[tokio::test]
async fn from_a_result_to_the_next_picture_nine_calls_follow_each_other() {
    let world = between_two_pictures().await;
    let worker = world.worker(WORKER).await;
    let result = json!({
        "task_id": TASK, "run_id": run_id(), "offsets": [0], "size": 20,
        "times": { "fetch_ms": 1, "execute_ms": 2, "upload_ms": 3 },
    });
    world.faults.take();
    let answer: Value = world.work(&worker, "result", &result, NOW + seconds(9)).await.ok();
    let calls = world.faults.take();
    assert_eq!(answer["assignment"]["task_id"], NEXT, "{answer}");
    // Worker; task; usage and pool; the commit; the line; the next task, its plan and the pace; the claim; then its owner's
    // sessions and the message to one.
    assert_eq!(depth(&calls), 9, "{}", shown(&calls));
    assert_eq!(
        reads_of_workers(&calls),
        1,
        "the worker's item is read once\n{}",
        shown(&calls)
    );
    // Both painters were told, and both runs were learned from, before the answer.
    let told: Vec<_> = world.sent().into_iter().map(|(to, _)| to).collect();
    assert!(
        told.contains(&"others-socket=".to_owned()) && told.len() >= 2,
        "{told:?}"
    );
}

#[tokio::test]
async fn a_claim_reads_the_workers_item_once() {
    let world = World::watched(Settings::default()).await;
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    world.queued(NEXT, OTHER, NOW).await;
    world.faults.take();
    assert!(world.claimed(&worker, NOW).await.is_some());
    let calls = world.faults.take();
    assert_eq!(reads_of_workers(&calls), 1, "{}", shown(&calls));
}

#[tokio::test]
async fn a_warm_submit_makes_seven_calls_of_which_four_follow_each_other() {
    let world = World::watched(Settings::default()).await;
    world.ready(WORKER, INSTANCE, NOW).await;
    let socket = ConnectionId::new("workers-socket=");
    world.alter_worker(WORKER, |it| it.connection = Some(socket)).await;
    let body = wire("01_generate");
    world.submit(MARA, &body, NOW).await.ok();
    // The catalogue is at hand, and that Mara paints was noted. Within a second the line would be at hand, too: six calls.
    world.faults.take();
    let answer = world.submit(MARA, &body, NOW + seconds(1)).await;
    let calls = world.faults.take();
    assert!(answer.ok()["id"].is_string());
    let mut names: Vec<_> = calls.iter().map(ToString::to_string).collect();
    names.sort();
    insta::assert_debug_snapshot!(names);
    assert_eq!(depth(&calls), 4, "{}", shown(&calls));
}

#[tokio::test]
async fn a_submit_of_whom_nothing_is_known_reads_what_their_account_says() {
    // Their token names a team, and they painted in a pool, that their account has no more.
    let world = World::watched(Settings::default()).await;
    let body = wire("01_generate");
    world.submit(MARA, &body, NOW).await.ok();
    world.put(Pool::new(PoolId::new("other"), 1, Vec::new())).await;
    let (crew, mut account) = (TeamId::new("crew"), world.get(&UserId::new(MARA)).await);
    (account.pool, account.team) = (PoolId::new("other"), crew.clone());
    world.put(account).await;
    recording::set_class(&world.cloud.store, &crew, true, NOW, |_| Ok(None))
        .await
        .unwrap();
    let answer = world.submit(MARA, &body, NOW + seconds(1)).await.ok();
    let task = world.task(&answer["id"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!((task.pool.as_str(), task.team.as_str()), ("other", "crew"));
    assert!(task.document.is_some(), "their own team records");
}
