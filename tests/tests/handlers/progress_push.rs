//! `progress-push`: WebSockets. Every message is a hint, and who may say what is checked on each.

use cloud::tables::Table;
use model::{ConnectionId, Millis, Outcome, Role, RunId, RunTimes, Session, TaskResult, TaskState, UserId};
use serde_json::{Value, json};

use crate::{
    golden::{unknown, walk},
    support::{
        MARA, NOW, OTHER, PAINTER_SOCKET, RUN, TASK, WORKER, WORKER_2, WORKER_SOCKET, World, minutes, painter, run_id,
        scrubbed, seconds, socket_event, task_id, worker_context, worker_id,
    },
};

#[tokio::test]
async fn golden_events() {
    walk("progress-push", async |name, event| {
        let world = World::new().await;
        match name {
            "connect-painter" | "default" | "active" => {}
            "connect-worker" => drop(world.ready(WORKER, "i-0", NOW).await),
            "disconnect" => {
                world.ready(WORKER, "i-0", NOW).await;
                attached(&world, WORKER, WORKER_SOCKET).await;
            }
            "progress" | "sync" | "ping" | "preview" => {
                world.running(NOW - seconds(10)).await;
                world.painter_socket().await;
            }
            "look" => {
                world.running(NOW - seconds(10)).await;
                world.painter_socket().await;
                attached(&world, WORKER, WORKER_SOCKET).await;
            }
            other => unknown(other),
        }
        let status = world.push(event, NOW).await;
        scrubbed(json!({ "status": status, "effects": world.effects() }))
    })
    .await;
}

/// A worker's open WebSocket.
async fn attached(world: &World, worker: &str, connection: &str) {
    let id = model::WorkerId::new(worker);
    let connection = world
        .socket(connection, UserId::of_worker(&id), Role::Worker, NOW)
        .await;
    world
        .alter_worker(worker, |worker| worker.connection = Some(connection))
        .await;
}

async fn connect(world: &World, connection: &str, caller: &Value) -> i64 {
    let event = socket_event("connect-painter", connection, caller, None);
    world.push(event, NOW).await
}

async fn disconnect(world: &World, connection: &str, caller: &Value) -> i64 {
    world
        .push(socket_event("disconnect", connection, caller, None), NOW)
        .await
}

fn of_worker(generation: u32) -> Value {
    worker_context(WORKER, generation, NOW)
}

async fn say(world: &World, connection: &str, caller: &Value, message: &Value, now: Millis) -> i64 {
    world
        .push(socket_event("sync", connection, caller, Some(message)), now)
        .await
}

async fn progress(world: &World, caller: &Value, run: RunId, seq: u64, value: f64) -> i64 {
    let message = json!({ "action": "progress", "task_id": TASK, "run_id": run, "seq": seq, "value": value });
    say(world, WORKER_SOCKET, caller, &message, NOW).await
}

async fn seen(world: &World) -> (u64, f32) {
    let run = world.task(&task_id()).await.run.unwrap();
    (run.seq, run.progress)
}

#[tokio::test]
async fn progress_of_an_earlier_process_is_not_taken() {
    let world = World::new().await;
    world.running(NOW).await;
    for (generation, expected) in [(0, (0, 0.0)), (2, (0, 0.0)), (1, (1, 0.5))] {
        progress(&world, &of_worker(generation), run_id(), 1, 0.5).await;
        assert_eq!(seen(&world).await, expected, "generation {generation}");
    }
}

// ---------------------------------------------------------------- connections

#[tokio::test]
async fn a_connection_is_kept_with_its_owner() {
    let world = World::new().await;
    world.ready(WORKER, "i-0", NOW).await;
    assert_eq!(connect(&world, "a", &painter(MARA)).await, 200);
    assert_eq!(connect(&world, "b", &of_worker(1)).await, 200);
    let a: Session = world.get(&ConnectionId::new("a")).await;
    assert_eq!((a.owner.as_str(), a.role), (MARA, Role::Painter));
    // DynamoDB deletes it some time after API Gateway closed it.
    assert!(a.ttl > (NOW + minutes(120)).seconds());
    let b: Session = world.get(&ConnectionId::new("b")).await;
    assert_eq!((b.owner, b.role), (UserId::of_worker(&worker_id()), Role::Worker));
    assert_eq!(world.worker(WORKER).await.connection, Some(ConnectionId::new("b")));
}

#[tokio::test]
async fn connecting_twice_is_connecting_once() {
    let world = World::new().await;
    world.ready(WORKER, "i-0", NOW).await;
    for _ in 0..2 {
        assert_eq!(connect(&world, "b", &of_worker(1)).await, 200);
    }
    assert_eq!(world.all::<Session>(Table::Sessions).len(), 1);
}

#[tokio::test]
async fn conflicts_for_no_reason_lose_no_connection() {
    for seed in 0..40 {
        let world = World::unkind(seed).await;
        world.ready(WORKER, "i-0", NOW).await;
        assert_eq!(connect(&world, "a", &painter(MARA)).await, 200);
        assert_eq!(connect(&world, "b", &of_worker(1)).await, 200);
        assert_eq!(world.all::<Session>(Table::Sessions).len(), 2, "seed {seed}");
        disconnect(&world, "a", &painter(MARA)).await;
        disconnect(&world, "b", &of_worker(1)).await;
        assert!(world.all::<Session>(Table::Sessions).is_empty(), "seed {seed}");
        assert_eq!(world.worker(WORKER).await.connection, None, "seed {seed}");
    }
}

#[tokio::test]
async fn who_is_refused_does_not_connect() {
    let world = World::new().await;
    world.ready(WORKER, "i-0", NOW).await;
    for (caller, status) in [
        (json!({ "refused": "the token has expired" }), 401),
        (json!({}), 401),
        (Value::Null, 401),
        // An earlier process of this worker; a worker that nobody knows.
        (of_worker(0), 401),
        (worker_context("w-unknown", 1, NOW), 401),
    ] {
        assert_eq!(connect(&world, "c", &caller).await, status, "{caller}");
    }
    assert_eq!(world.worker(WORKER).await.connection, None);
    assert!(world.all::<Session>(Table::Sessions).is_empty());
}

#[tokio::test]
async fn a_late_disconnect_leaves_the_newer_connection() {
    let world = World::new().await;
    world.ready(WORKER, "i-0", NOW).await;
    connect(&world, "old", &of_worker(1)).await;
    connect(&world, "new", &of_worker(1)).await;
    for _ in 0..2 {
        assert_eq!(disconnect(&world, "old", &of_worker(1)).await, 200);
    }
    assert_eq!(world.worker(WORKER).await.connection, Some(ConnectionId::new("new")));
    assert_eq!(world.all::<Session>(Table::Sessions).len(), 1);
    for _ in 0..2 {
        assert_eq!(disconnect(&world, "new", &of_worker(1)).await, 200);
    }
    assert_eq!(world.worker(WORKER).await.connection, None);
}

#[tokio::test]
async fn a_disconnect_needs_no_context() {
    let world = World::new().await;
    connect(&world, "a", &painter(MARA)).await;
    assert_eq!(disconnect(&world, "a", &Value::Null).await, 200);
    assert!(world.all::<Session>(Table::Sessions).is_empty());
}

// ---------------------------------------------------------------- progress

#[tokio::test]
async fn progress_reaches_the_owner_and_only_rises() {
    let world = World::new().await;
    world.running(NOW).await;
    world.painter_socket().await;
    world.socket("others", UserId::new(OTHER), Role::Painter, NOW).await;
    let (me, run) = (of_worker(1), run_id());
    progress(&world, &me, run, 2, 0.25).await;
    let sent = world.sent();
    assert_eq!(sent.len(), 1, "nobody else hears of it");
    assert_eq!(
        (sent[0].0.as_str(), &sent[0].1["progress"]),
        (PAINTER_SOCKET, &json!(0.25))
    );
    // Doubled; overtaken by a later one.
    for (seq, value) in [(2, 0.25), (1, 0.1), (0, 0.0)] {
        progress(&world, &me, run, seq, value).await;
        assert_eq!(seen(&world).await, (2, 0.25));
    }
    assert!(world.sent().is_empty());
    progress(&world, &me, run, 5, 7.0).await;
    assert_eq!(seen(&world).await, (5, 1.0), "more than everything is everything");
}

#[tokio::test]
async fn progress_of_anothers_or_a_lost_run_is_ignored() {
    let world = World::new().await;
    world.running(NOW).await;
    world.ready(WORKER_2, "i-2", NOW).await;
    world.painter_socket().await;
    let before = world.written();
    let stale: RunId = "01a05cd7-2a00-7000-8000-0000000000bf".parse().unwrap();
    progress(&world, &worker_context(WORKER_2, 1, NOW), run_id(), 9, 0.9).await;
    progress(&world, &of_worker(1), stale, 9, 0.9).await;
    let unknown = json!({
        "action": "progress", "task_id": "01a05cd7-2a00-7000-8000-0000000000ff", "run_id": RUN, "seq": 1, "value": 0.5,
    });
    assert_eq!(say(&world, WORKER_SOCKET, &of_worker(1), &unknown, NOW).await, 200);
    assert_eq!(world.written(), before);
    // Late, when the run is over.
    let result = TaskResult {
        key: String::new(),
        offsets: vec![0],
        size: 1,
        lora_warning: false,
        pose: None,
        ..TaskResult::default()
    };
    world
        .alter_task(&task_id(), |task| {
            let outcome = Outcome::Succeeded(result, RunTimes::default());
            task.end_run(run_id(), outcome, NOW).unwrap();
        })
        .await;
    let before = world.written();
    progress(&world, &of_worker(1), run_id(), 9, 0.9).await;
    assert_eq!(world.written(), before);
    assert!(world.sent().is_empty());
}

#[tokio::test]
async fn progress_does_not_hold_the_lease() {
    let world = World::new().await;
    let (task, _) = world.running(NOW).await;
    let message = json!({ "action": "progress", "task_id": TASK, "run_id": RUN, "seq": 1, "value": 0.5 });
    say(&world, WORKER_SOCKET, &of_worker(1), &message, NOW + seconds(20)).await;
    let run = world.task(&task_id()).await.run.unwrap();
    assert_eq!(run.lease_until, task.run.unwrap().lease_until);
}

#[tokio::test]
async fn reports_at_once_leave_the_newest() {
    for seed in 0..20 {
        let world = World::unkind(seed).await;
        world.running(NOW).await;
        world.port.dawdle(seed);
        let me = of_worker(1);
        let report = |seq: u32| progress(&world, &me, run_id(), seq.into(), f64::from(seq) / 10.0);
        tokio::join!(report(3), report(1), report(4), report(2));
        assert_eq!(seen(&world).await, (4, 0.4), "seed {seed}");
    }
}

#[tokio::test]
async fn roles_say_their_own_messages_only() {
    let world = World::new().await;
    world.running(NOW).await;
    world.painter_socket().await;
    let before = world.written();
    assert_eq!(progress(&world, &painter(MARA), run_id(), 1, 0.5).await, 403);
    // A painter with a worker's name is nobody.
    assert_eq!(progress(&world, &painter(WORKER), run_id(), 1, 0.5).await, 401);
    let sync = json!({ "action": "sync", "tasks": [TASK] });
    assert_eq!(say(&world, WORKER_SOCKET, &of_worker(1), &sync, NOW).await, 403);
    assert_eq!(say(&world, "x", &json!({ "refused": "x" }), &sync, NOW).await, 401);
    assert_eq!(say(&world, "x", &Value::Null, &sync, NOW).await, 401);
    assert_eq!(world.written(), before);
    assert!(world.sent().is_empty());
}

// ---------------------------------------------------------------- the picture as it grows

const JPEG: &str = "/9j/4AAQSkZJRgABAQ==";

async fn look(world: &World, connection: &str, user: &str, task: &str, now: Millis) -> i64 {
    let message = json!({ "action": "look", "task_id": task });
    say(world, connection, &painter(user), &message, now).await
}

async fn preview(world: &World, caller: &Value, run: RunId, jpeg: &str, now: Millis) -> i64 {
    let message = json!({ "action": "preview", "task_id": TASK, "run_id": run, "seq": 3, "jpeg": jpeg });
    say(world, WORKER_SOCKET, caller, &message, now).await
}

/// A task that runs on a worker with a WebSocket, and its owner with two.
async fn looked_at() -> World {
    let world = World::new().await;
    world.running(NOW).await;
    attached(&world, WORKER, WORKER_SOCKET).await;
    world.painter_socket().await;
    world.socket("elsewhere", UserId::new(MARA), Role::Painter, NOW).await;
    world.socket("others", UserId::new(OTHER), Role::Painter, NOW).await;
    world
}

#[tokio::test]
async fn the_picture_as_it_grows_reaches_the_socket_that_looks() {
    let world = looked_at().await;
    let me = of_worker(1);
    assert_eq!(preview(&world, &me, run_id(), JPEG, NOW).await, 200);
    assert!(world.sent().is_empty(), "nobody looks");
    assert_eq!(look(&world, PAINTER_SOCKET, MARA, TASK, NOW).await, 200);
    let asked = json!({ "event": "look", "task_id": TASK, "run_id": RUN });
    assert_eq!(world.sent(), [(WORKER_SOCKET.to_owned(), asked.clone())]);
    let before = world.written();
    for _ in 0..2 {
        preview(&world, &me, run_id(), JPEG, NOW + seconds(1)).await;
    }
    let shown = json!({ "event": "preview", "task_id": TASK, "run_id": RUN, "seq": 3, "jpeg": JPEG });
    let expected = (PAINTER_SOCKET.to_owned(), shown);
    assert_eq!(world.sent(), [expected.clone(), expected]);
    // Said again soon, a look is passed on, and not written.
    look(&world, PAINTER_SOCKET, MARA, TASK, NOW + seconds(10)).await;
    assert_eq!(world.sent(), [(WORKER_SOCKET.to_owned(), asked)]);
    assert_eq!(
        world.written(),
        before,
        "neither pictures nor looks said often are written"
    );
    // It is over half a minute after the last look that was noted.
    preview(&world, &me, run_id(), JPEG, NOW + seconds(31)).await;
    assert!(world.sent().is_empty());
    look(&world, PAINTER_SOCKET, MARA, TASK, NOW + seconds(31)).await;
    preview(&world, &me, run_id(), JPEG, NOW + seconds(60)).await;
    assert_eq!(world.sent().len(), 2);
}

#[tokio::test]
async fn nobody_sees_anothers_picture_grow() {
    let world = looked_at().await;
    world.ready(WORKER_2, "i-2", NOW).await;
    let before = world.written();
    // Another's task; one that nobody knows; another's socket, as nobody can name one.
    look(&world, "others", OTHER, TASK, NOW).await;
    look(
        &world,
        PAINTER_SOCKET,
        MARA,
        "01a05cd7-2a00-7000-8000-0000000000ff",
        NOW,
    )
    .await;
    look(&world, "others", MARA, TASK, NOW).await;
    let worker = json!({ "action": "look", "task_id": TASK });
    assert_eq!(say(&world, WORKER_SOCKET, &of_worker(1), &worker, NOW).await, 403);
    assert_eq!(world.written(), before);
    assert!(world.sent().is_empty());
    look(&world, PAINTER_SOCKET, MARA, TASK, NOW).await;
    world.sent();
    // A painter; another worker; an earlier process of this one; another run.
    assert_eq!(preview(&world, &painter(MARA), run_id(), JPEG, NOW).await, 403);
    preview(&world, &worker_context(WORKER_2, 1, NOW), run_id(), JPEG, NOW).await;
    preview(&world, &of_worker(0), run_id(), JPEG, NOW).await;
    let stale: RunId = "01a05cd7-2a00-7000-8000-0000000000bf".parse().unwrap();
    preview(&world, &of_worker(1), stale, JPEG, NOW).await;
    assert!(world.sent().is_empty());
    // What is no small JPEG.
    let long = format!("/9j/{}", "A".repeat(16 * 1024));
    for no in ["", "iVBORw0KGgo=", "/9j/\"<script>", long.as_str()] {
        assert_eq!(preview(&world, &of_worker(1), run_id(), no, NOW).await, 400, "{no:.20}");
    }
    assert!(world.sent().is_empty());
    // Late: the task waits again, or is over.
    world
        .alter_task(&task_id(), |task| {
            task.cancel(model::CancelCause::User, NOW);
            task.end_run(run_id(), Outcome::Interrupted, NOW).unwrap();
        })
        .await;
    preview(&world, &of_worker(1), run_id(), JPEG, NOW).await;
    look(&world, PAINTER_SOCKET, MARA, TASK, NOW).await;
    assert!(world.sent().is_empty());
}

#[tokio::test]
async fn looks_at_once_are_all_noted() {
    for seed in 0..10 {
        let world = World::unkind(seed).await;
        world.running(NOW).await;
        world.painter_socket().await;
        world.port.dawdle(seed);
        let looks = || look(&world, PAINTER_SOCKET, MARA, TASK, NOW);
        let (one, other) = tokio::join!(looks(), looks());
        assert_eq!((one, other), (200, 200), "seed {seed}");
        let session: Session = world.get(&ConnectionId::new(PAINTER_SOCKET)).await;
        assert!(session.looks_at(task_id(), NOW + seconds(29)), "seed {seed}");
    }
}

// ---------------------------------------------------------------- sync, ping, garbage

#[tokio::test]
async fn sync_shows_ones_own_tasks_on_the_connection_that_asks() {
    let world = World::new().await;
    world.running(NOW).await;
    let other = "01a05cd7-2a00-7000-8000-0000000000a2";
    world.queued(other, OTHER, NOW).await;
    world.painter_socket().await;
    let sync = json!({ "action": "sync", "tasks": [TASK, other, "01a05cd7-2a00-7000-8000-0000000000ff"] });
    for _ in 0..2 {
        let status = say(&world, "second", &painter(MARA), &sync, NOW + seconds(20)).await;
        assert_eq!(status, 200, "another's task is passed over in silence");
        let sent = world.sent();
        assert_eq!(sent.len(), 1);
        assert_eq!((sent[0].0.as_str(), &sent[0].1["task_id"]), ("second", &json!(TASK)));
    }
    // Who asks is there, which is noted as rarely as for a status.
    say(&world, "second", &painter(MARA), &sync, NOW + seconds(39)).await;
    world.sent();
    assert_eq!(world.task(&task_id()).await.seen_at, NOW + seconds(20));
    assert_eq!(world.task(&other.parse().unwrap()).await.seen_at, NOW);
    // A task that is over is shown, and left as it is.
    world
        .alter_task(&task_id(), |task| {
            task.cancel(model::CancelCause::User, NOW);
            task.end_run(run_id(), Outcome::Interrupted, NOW).unwrap();
        })
        .await;
    let before = world.written();
    say(&world, "second", &painter(MARA), &sync, NOW + minutes(1)).await;
    assert_eq!(world.sent()[0].1["state"], json!(TaskState::Canceled));
    assert_eq!(world.written(), before);
}

#[tokio::test]
async fn sync_of_nothing_and_of_very_much() {
    let world = World::new().await;
    world.queued(TASK, MARA, NOW).await;
    for message in [json!({ "action": "sync" }), json!({ "action": "sync", "tasks": [] })] {
        assert_eq!(say(&world, "s", &painter(MARA), &message, NOW).await, 200);
    }
    assert!(world.sent().is_empty());
    let many = json!({ "action": "sync", "tasks": vec![TASK; 500] });
    assert_eq!(say(&world, "s", &painter(MARA), &many, NOW).await, 200);
    assert_eq!(world.sent().len(), 20);
}

#[tokio::test]
async fn ping_is_answered_to_anyone() {
    let world = World::new().await;
    for caller in [painter(MARA), of_worker(1)] {
        assert_eq!(say(&world, "s", &caller, &json!({ "action": "ping" }), NOW).await, 200);
        assert_eq!(world.sent(), [("s".to_owned(), json!({ "event": "pong" }))]);
    }
    world.memory.close(&ConnectionId::new("s"));
    assert_eq!(
        say(&world, "s", &painter(MARA), &json!({ "action": "ping" }), NOW).await,
        200
    );
}

#[tokio::test]
async fn garbage_is_refused_and_changes_nothing() {
    let world = World::new().await;
    world.running(NOW).await;
    let before = world.written();
    for body in [
        "",
        "{",
        "null",
        "[]",
        "{\"action\":\"dance\"}",
        "{\"action\":\"progress\"}",
        "{\"action\":\"sync\",\"tasks\":[7]}",
    ] {
        let mut event = socket_event("default", "s", &of_worker(1), None);
        event["body"] = body.into();
        assert_eq!(world.push(event, NOW).await, 400, "{body}");
    }
    let mut event = socket_event("default", "s", &of_worker(1), None);
    event["requestContext"]["connectionId"] = Value::Null;
    assert_eq!(world.push(event, NOW).await, 400);
    assert_eq!(world.written(), before);
}

#[tokio::test]
async fn a_gone_socket_of_the_owner_is_forgotten_and_the_others_are_told() {
    let world = World::new().await;
    world.running(NOW).await;
    let gone = world.socket("gone", UserId::new(MARA), Role::Painter, NOW).await;
    world.painter_socket().await;
    world.memory.close(&gone);
    assert_eq!(progress(&world, &of_worker(1), run_id(), 1, 0.5).await, 200);
    assert_eq!(world.sent().len(), 1);
    assert_eq!(world.port.get(&gone).await, None);
    // Its own $disconnect comes later and finds nothing.
    assert_eq!(disconnect(&world, "gone", &painter(MARA)).await, 200);
    assert_eq!(world.all::<Session>(Table::Sessions).len(), 1);
}
