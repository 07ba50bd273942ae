//! Who is at their canvas: what the functions note, and what follows from it.

use cloud::{
    Write,
    queue::Queued,
    store::StorePort,
    tables::{HazardOf, Id, PresenceOf, Table},
};
use model::{Account, ConnectionId, Course, Frailty, Hazard, Millis, PoolId, Presence, Tally, UserId, WorkerState};
use policy::watch::InstanceState;
use serde_json::{Value, json};

use crate::support::{
    INSTANCE, MARA, NOW, OTHER, POOL, TASK, WORKER, World, http, minutes, painter, seconds, socket_event, sqs,
    worker_context,
};

/// Mara's stay.
async fn stay(world: &World) -> Option<Presence> {
    let key = PresenceOf(PoolId::new(POOL), UserId::new(MARA));
    world.cloud.store.get(&key).await.unwrap()
}

/// How many stays there are, everybody's.
fn stays(world: &World) -> usize {
    let items = world.all::<Value>(Table::Pools);
    let of_stays = |it: &&Value| it["pool"].as_str().unwrap().starts_with("presence#");
    items.iter().filter(of_stays).count()
}

/// A call without path and body, which succeeds.
async fn call(world: &World, user: &str, route: &str, now: Millis) {
    world.paint(user, route, "", &json!(""), now).await.ok();
}

async fn user(world: &World, now: Millis) {
    call(world, MARA, "GET /v1/user", now).await;
}

async fn resources(world: &World, now: Millis) {
    call(world, MARA, "GET /v1/plugin/resources", now).await;
}

async fn active(world: &World, caller: &Value, now: Millis) -> i64 {
    let event = socket_event("active", "s", caller, None);
    world.push(event, now).await
}

/// Delivers what was queued, each message twice.
async fn deliver(world: &World, now: Millis) -> usize {
    let queued = world.take_queued();
    let bodies: Vec<_> = queued.iter().map(|it| serde_json::to_string(it).unwrap()).collect();
    let response = world.dispatch(sqs(&[bodies.clone(), bodies].concat()), now).await;
    assert!(response.batch_item_failures.is_empty());
    queued.len()
}

#[tokio::test]
async fn who_connects_finds_a_worker_coming_before_the_first_request() {
    let world = World::new().await;
    user(&world, NOW).await;
    let look = Queued {
        task_id: None,
        pool: PoolId::new(POOL),
    };
    assert_eq!(world.memory.take_queued(), std::slice::from_ref(&look));
    let written = world.written();
    // The plugin goes on calling: one stay, one write a minute, one message.
    resources(&world, NOW + seconds(1)).await;
    user(&world, NOW + seconds(59)).await;
    assert_eq!(world.written(), written);
    resources(&world, NOW + minutes(1)).await;
    assert_eq!(stay(&world).await.unwrap().at, NOW + minutes(1));
    assert!(world.take_queued().is_empty());

    let message = serde_json::to_string(&look).unwrap();
    for later in [0, 0, 2] {
        world
            .dispatch(sqs(std::slice::from_ref(&message)), NOW + seconds(later))
            .await;
    }
    world.tick(NOW + seconds(50)).await;
    assert_eq!(world.instances.launches(), 1);
    // Another painter of that pool needs no other machine.
    call(&world, OTHER, "GET /v1/user", NOW + seconds(55)).await;
    assert_eq!(deliver(&world, NOW + seconds(55)).await, 1);
    assert_eq!(world.instances.launches(), 1);
}

#[tokio::test]
async fn first_calls_at_once_launch_once() {
    for seed in 0..40 {
        let world = World::unkind(seed).await;
        world.port.dawdle(seed);
        tokio::join!(user(&world, NOW), resources(&world, NOW), user(&world, NOW));
        assert!(stays(&world) <= 1);
        deliver(&world, NOW).await;
        // Where every write met a conflict for no reason, a later call makes it good; where the message did, the tick.
        for minute in 1..4 {
            user(&world, NOW + minutes(minute)).await;
            world.tick(NOW + minutes(minute)).await;
        }
        assert_eq!(world.instances.launches(), 1, "seed {seed}");
    }
}

#[tokio::test]
async fn a_worker_stays_while_somebody_is_there_and_goes_when_nobody_is() {
    let world = World::new().await;
    world.ready(WORKER, INSTANCE, NOW).await;
    let mut minute = 0;
    let mut until = async |end: u64, calls: bool| {
        while minute < end {
            minute += 1;
            if calls {
                user(&world, NOW + minutes(minute)).await;
            }
            let alive = |worker: &mut model::Worker| worker.last_seen = NOW + minutes(minute);
            world.alter_worker(WORKER, alive).await;
            world.tick(NOW + minutes(minute) + seconds(1)).await;
            world.reap(NOW + minutes(minute) + seconds(2)).await;
        }
        world.worker(WORKER).await.state
    };
    // Idle for longer than it may where nobody is.
    assert_eq!(until(20, true).await, WorkerState::Ready);
    // The stay ends five minutes after its last sign, the idle time is over by then, and the second look is the last.
    assert_eq!(until(23, false).await, WorkerState::Ready);
    assert_eq!(until(26, false).await, WorkerState::Stopping);
    world.instance(INSTANCE, WORKER, InstanceState::Stopped);
    assert_eq!(until(30, false).await, WorkerState::Stopped, "and stays off");
    assert_eq!(world.instances.launches(), 0);
    assert_eq!(deliver(&world, NOW + minutes(30)).await, 1, "of the one stay");
    // Who comes back begins a new one, which starts the same machine.
    user(&world, NOW + minutes(31)).await;
    assert_eq!(deliver(&world, NOW + minutes(31)).await, 1);
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Starting);
    assert_eq!(stay(&world).await.unwrap().since, NOW + minutes(31));
}

/// Painters of this pool ask for nothing after a minute of silence, and to know that was worth something.
pub(crate) fn known() -> Hazard {
    let tally = |minutes, asks| Tally {
        minutes,
        asks,
        returns: 0.0,
    };
    Hazard {
        pool: PoolId::new(POOL),
        version: 0,
        format: policy::hazard::FORMAT,
        at: NOW,
        cells: (0..432).map(|cell| (cell, tally(10_000.0, 1.0))).collect(),
        comers: vec![tally(10_000.0, 0.0); 24],
        hours: vec![Frailty::default(); 24],
        painters: Vec::new(),
        worked: NOW,
        fixed: Course { on: None, usd: 10.0 },
        learned: Course { on: None, usd: 1.0 },
    }
}

/// After how many minutes of silence a painter's idle machine is stopped.
async fn stops_after(world: &World) -> u64 {
    world.ready(WORKER, INSTANCE, NOW - minutes(10)).await;
    active(world, &painter(MARA), NOW).await;
    for minute in 1..20 {
        let now = NOW + minutes(minute);
        let alive = |worker: &mut model::Worker| worker.last_seen = now;
        world.alter_worker(WORKER, alive).await;
        world.tick(now + seconds(1)).await;
        world.reap(now + seconds(2)).await;
        if world.worker(WORKER).await.state == WorkerState::Stopping {
            return minute;
        }
    }
    panic!("it was never stopped")
}

/// What ticks have learned of a painter who comes, and goes.
pub(crate) async fn learned() -> Hazard {
    let world = World::new().await;
    stops_after(&world).await;
    world.get(&HazardOf(PoolId::new(POOL))).await
}

#[tokio::test]
async fn a_worker_goes_by_what_ticks_have_learned_of_pauses_or_else_by_fixed_times() {
    let key = HazardOf(PoolId::new(POOL));
    let world = World::new().await;
    assert_eq!(stops_after(&world).await, 5, "the end of the stay");
    let learned = world.get(&key).await;
    let minutes: f64 = learned.cells.values().map(|it| it.minutes).sum();
    assert!(minutes > 3.0, "the ticks have learned: {learned:#?}");

    let world = World::new().await;
    world.put(known()).await;
    assert_eq!(stops_after(&world).await, 2, "nobody will ask");
    assert!(world.get(&key).await.version > 1, "and goes on learning");

    // What another release has written, or nobody can read, is not acted on, and costs nothing else.
    let world = World::new().await;
    world.put(Hazard { format: 99, ..known() }).await;
    assert_eq!(stops_after(&world).await, 5);
    let world = World::new().await;
    let item = json!({ "pool": POOL, "slot": "hazard", "version": 7, "cells": "none" });
    let write = Write {
        key: key.key(),
        expect: 0,
        item: Some(serde_json::from_value(item).unwrap()),
    };
    StorePort::commit(&world.memory, &[write]).await.unwrap();
    assert_eq!(stops_after(&world).await, 5);
}

#[tokio::test]
async fn who_asks_for_nothing_keeps_no_worker_for_ever() {
    let world = World::new().await;
    for minute in 0..45 {
        active(&world, &painter(MARA), NOW + minutes(minute)).await;
    }
    deliver(&world, NOW + minutes(45)).await;
    world.tick(NOW + minutes(45)).await;
    assert_eq!(
        world.instances.launches(),
        0,
        "present for half an hour without a request"
    );
    world.submitted(NOW + minutes(46)).await;
    deliver(&world, NOW + minutes(46)).await;
    assert_eq!(world.instances.launches(), 1);
}

async fn credits(world: &World, credits: u64) {
    let mut account: Account = world.get(&UserId::new(MARA)).await;
    account.credits = credits;
    world.put(account).await;
}

#[tokio::test]
async fn a_request_counts_and_sends_no_second_message() {
    let world = World::new().await;
    credits(&world, 100_000).await;
    let id = world.submitted(NOW).await;
    let first = stay(&world).await.unwrap();
    assert_eq!((first.since, first.asked_at, first.watched), (NOW, Some(NOW), false));
    assert_eq!(world.take_queued().len(), 1, "the task's own");
    // Stroke after stroke in live mode: a write a minute.
    for half_seconds in 1..120 {
        world.submitted(NOW + seconds(half_seconds) / 2).await;
    }
    assert_eq!(stay(&world).await.unwrap(), first);
    world.submitted(NOW + minutes(1)).await;
    assert_eq!(stay(&world).await.unwrap().asked_at, Some(NOW + minutes(1)));
    // So does whoever waits for it, as often as the poll is noted anyway.
    for (route, later) in [("GET /v1/tasks/{id}", 2), ("POST /v1/status/{id}", 3)] {
        world
            .paint(MARA, route, &id.to_string(), &json!({}), NOW + minutes(later))
            .await
            .ok();
        let stay = stay(&world).await.unwrap();
        assert_eq!((stay.at, stay.asked_at), (NOW + minutes(later), Some(NOW + minutes(1))));
    }
}

#[tokio::test]
async fn refused_calls_are_no_sign() {
    let world = World::new().await;
    credits(&world, 0).await;
    let broke = world.submit(MARA, &crate::support::wire("01_generate"), NOW).await;
    assert_eq!(broke.status, 402);
    for caller in [
        painter("nobody"),
        worker_context(WORKER, 1, NOW),
        json!({ "refused": "expired" }),
    ] {
        for route in ["GET /v1/user", "GET /v1/plugin/resources"] {
            assert!(world.http(http(route, "", Some(&caller), &json!("")), NOW).await.status >= 400);
        }
    }
    // Whose machine time nobody paid for, for too long, gets no picture either.
    let mut usage = world.usage(OTHER).await;
    usage.unpaid_ms = u64::try_from(world.settings.max_unpaid.as_millis()).unwrap();
    world.put(usage).await;
    call(&world, OTHER, "GET /v1/user", NOW).await;
    assert_eq!(active(&world, &painter(OTHER), NOW).await, 200);
    // Uploads come with a request, or are for later.
    call(&world, MARA, "POST /v1/upload/image", NOW).await;
    assert_eq!((stays(&world), world.take_queued().len()), (0, 0));
}

#[tokio::test]
async fn activity_on_the_canvas_is_the_connections_own() {
    let world = World::new().await;
    // Doubled and in a flood: one write, one message. What else the message says is nothing.
    for later in 0..50 {
        let message = json!({ "action": "active", "user": OTHER, "pool": "another", "at": u64::MAX });
        let event = socket_event("active", "s", &painter(MARA), Some(&message));
        assert_eq!(world.push(event, NOW + seconds(later)).await, 200);
    }
    let noted = stay(&world).await.unwrap();
    assert_eq!((noted.at, noted.watched, noted.version), (NOW, true, 1));
    assert_eq!(
        (stays(&world), deliver(&world, NOW).await, world.instances.launches()),
        (1, 1, 1)
    );
    // A late one does not take anything back.
    assert_eq!(active(&world, &painter(MARA), NOW - seconds(30)).await, 200);
    assert_eq!(stay(&world).await.unwrap(), noted);

    let written = world.written();
    let mut account: Account = world.get(&UserId::new(OTHER)).await;
    for (caller, status) in [
        (worker_context(WORKER, 1, NOW), 403),
        (painter("nobody"), 401),
        (json!({ "refused": "expired" }), 401),
        (Value::Null, 401),
    ] {
        assert_eq!(active(&world, &caller, NOW).await, status, "{caller}");
    }
    assert_eq!(world.written(), written);
    // A socket outlives its token's revocation; what it says then counts for nothing.
    account.tokens_valid_from = NOW + minutes(1);
    world.put(account).await;
    assert_eq!(active(&world, &painter(OTHER), NOW + minutes(2)).await, 401);
    assert_eq!(stays(&world), 1);
}

#[tokio::test]
async fn what_cannot_be_noted_fails_no_call() {
    let world = World::new().await;
    world.memory.break_queue();
    user(&world, NOW).await;
    assert!(world.take_queued().is_empty());
    // The minute tick makes the lost message good.
    world.tick(NOW + seconds(30)).await;
    assert_eq!(world.instances.launches(), 1);
}

#[tokio::test]
async fn a_message_without_a_task_wakes_nobody() {
    let world = World::new().await;
    world.ready(WORKER, INSTANCE, NOW).await;
    let socket = ConnectionId::new("w");
    world
        .alter_worker(WORKER, |worker| worker.connection = Some(socket))
        .await;
    user(&world, NOW).await;
    assert_eq!(deliver(&world, NOW).await, 1);
    assert!(world.sent().is_empty());
    assert_eq!(world.instances.launches(), 0);
    world.queued(TASK, MARA, NOW).await;
    world.dispatch_tasks(&[crate::support::task_id()], NOW).await;
    assert_eq!(world.sent().len(), 1);
}
