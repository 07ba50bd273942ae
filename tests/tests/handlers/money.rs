//! What a pool's machines cost in a month, and its limit: told, kept, lifted, and over with the month.

use cloud::tables::Id;
use model::{MicroUsd, Millis, Pool, PoolId, Presence, UserId, Worker, WorkerState};
use ops::pool::{self, Command, Limits, MonthlyLimit};
use policy::{meter, watch::InstanceState};
use serde_json::Value;

use crate::support::{INSTANCE, MARA, NOW, POOL, TASK, WORKER, World, instance_id, minutes, seconds, task_id, wire};

const SECOND: &str = "01a05cd7-2a00-7000-8000-0000000000a3";
/// 1 October 2026.
const OCTOBER: Millis = Millis(1_790_812_800_000);

fn id() -> PoolId {
    PoolId::new(POOL)
}

async fn pool(world: &World) -> Pool {
    world.get(&id()).await
}

async fn ops(world: &World, command: Command, now: Millis) -> String {
    pool::run(&world.cloud.store, command, now).await.unwrap()
}

async fn limit(world: &World, limit: Option<u64>) {
    let limits = Limits {
        monthly_limit: Some(MonthlyLimit(limit.map(|usd| MicroUsd(usd * 1_000_000)))),
        ..Limits::default()
    };
    ops(world, Command::Set { pool: id(), limits }, NOW).await;
}

async fn lift(world: &World, undo: bool, now: Millis) -> String {
    ops(world, Command::Lift { pool: id(), undo }, now).await
}

async fn show(world: &World, now: Millis) -> String {
    ops(world, Command::Show { pool: id() }, now).await
}

/// A machine of US$ 0.8048 an hour that is up from NOW on, in a pool that may cost US$ 1 a month.
async fn metered(world: &World) -> Worker {
    limit(world, Some(1)).await;
    world.ready(WORKER, INSTANCE, NOW).await;
    world
        .alter_worker(WORKER, |worker| worker.instance_type = Some("g6.xlarge".to_owned()))
        .await
}

/// It is heard of, and Mara asks for her pictures: so a minute is like any other.
async fn minute(world: &World, now: Millis) {
    if world.worker(WORKER).await.state.is_up() {
        world.alter_worker(WORKER, |worker| worker.heard(now)).await;
    }
    for task in world.tasks() {
        world
            .alter_task(&task.task_id, |task| {
                (task.seen_at, task.expires_at) = (now, now + minutes(60));
            })
            .await;
    }
    world.tick(now).await;
}

async fn note(world: &World, task: &str, now: Millis) -> String {
    let view = world.paint(MARA, "GET /v1/tasks/{id}", task, &Value::Null, now).await;
    view.ok()["note"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_pool_warns_at_80_percent_and_starts_nothing_at_100() {
    let world = World::new().await;
    world.painter_socket().await;
    let worker = metered(&world).await;
    // 59 minutes: 79 %; an hour: 80 %.
    minute(&world, NOW + minutes(59)).await;
    assert_eq!(pool(&world).await.meter.told, 0);
    minute(&world, NOW + minutes(60)).await;
    let warned = pool(&world).await;
    assert_eq!(warned.meter.told, 80);
    minute(&world, NOW + minutes(61)).await;
    assert_eq!(pool(&world).await, warned, "once a month, and no write besides");
    assert_eq!(world.sent(), [], "painters are not told");

    // 75 minutes: 100 %. The machine that is up has a picture and finishes it; one more that waits starts none.
    let now = NOW + minutes(75);
    world.queued(TASK, MARA, now).await;
    world.alter_worker(WORKER, |worker| worker.heard(now)).await;
    assert!(world.claimed(&worker, now).await.is_some());
    world.queued(SECOND, MARA, now).await;
    minute(&world, now).await;
    world.dispatch_tasks(&[SECOND.parse().unwrap()], now).await;
    assert_eq!(pool(&world).await.meter.told, 100);
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Busy);
    assert_eq!(note(&world, SECOND, now).await, "Waiting for a GPU to be free.");
    world.sent();

    // It goes down: what waits goes on waiting, and is told why, once.
    world.instances.set(&instance_id(), InstanceState::Stopped);
    let off = now + minutes(1);
    for later in 0..3 {
        minute(&world, off + minutes(later)).await;
        world.dispatch_tasks(&[task_id()], off + minutes(later)).await;
    }
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Stopped);
    let cost = MicroUsd::of_time(minutes(76), MicroUsd(804_800));
    assert_eq!(pool(&world).await.meter.stopped, cost);
    let told: Vec<_> = world.sent().into_iter().map(|(_, it)| it["note"].clone()).collect();
    assert_eq!(told.iter().filter(|it| *it == meter::PAUSED).count(), 2, "{told:?}");
    assert_eq!(note(&world, SECOND, off).await, meter::PAUSED);
    assert_eq!(
        (world.instances.launches(), world.power(INSTANCE)),
        (0, InstanceState::Stopped)
    );
    let item = world.memory.items().into_iter().find(|(key, _)| *key == id().key());
    insta::assert_json_snapshot!("pool-metered", item.unwrap().1, { ".breaker" => "[breaker]", ".version" => "[version]" });
    insta::assert_snapshot!("pool-show-limited", show(&world, off).await);

    // A request is let in and waits like the others.
    let new = world.submit(MARA, &wire("01_generate"), off).await.ok();
    assert_eq!(note(&world, new["id"].as_str().unwrap(), off).await, meter::PAUSED);

    // The operator lifts the limit, takes that back, and lifts it again.
    let lifted = off + minutes(5);
    insta::assert_snapshot!("pool-lift", lift(&world, false, lifted).await);
    assert!(show(&world, lifted).await.contains("the limit is lifted"));
    lift(&world, true, lifted).await;
    minute(&world, lifted).await;
    assert_eq!(world.power(INSTANCE), InstanceState::Stopped);
    lift(&world, false, lifted).await;
    minute(&world, lifted).await;
    assert_eq!(world.power(INSTANCE), InstanceState::Up);
}

#[tokio::test]
async fn a_month_that_begins_has_its_whole_limit() {
    let world = World::new().await;
    metered(&world).await;
    world.queued(TASK, MARA, NOW).await;
    world.instances.set(&instance_id(), InstanceState::Stopped);
    let last = OCTOBER - seconds(1);
    minute(&world, last).await;
    minute(&world, last).await;
    assert!(meter::is_reached(&pool(&world).await, &world.workers(), last));
    assert_eq!(world.power(INSTANCE), InstanceState::Stopped);
    minute(&world, OCTOBER).await;
    assert_eq!(world.power(INSTANCE), InstanceState::Up);
    assert_eq!(
        pool(&world).await.meter.stopped.0 / 1_000_000,
        569,
        "29.5 days of September"
    );

    // What is up as the month turns costs it from then on, and a limit that was lifted holds again.
    lift(&world, false, OCTOBER).await;
    let november = OCTOBER + minutes(31 * 24 * 60);
    let (item, workers) = (pool(&world).await, world.workers());
    assert_eq!(meter::percent(&item, &workers, OCTOBER + minutes(60)), Some(80));
    assert_eq!(meter::percent(&item, &workers, november + minutes(60)), Some(80));
    assert!(meter::is_lifted(&item, november - seconds(1)) && !meter::is_lifted(&item, november));

    // Without a limit nothing is held back, and the meter goes on.
    limit(&world, None).await;
    let item = pool(&world).await;
    assert!(!meter::is_reached(&item, &workers, november - seconds(1)));
    assert_eq!(meter::notice(&item, &workers, november - seconds(1)), None);
}

#[tokio::test]
async fn an_idle_machine_stops_at_the_limit_whoever_is_present() {
    let world = World::new().await;
    metered(&world).await;
    let now = NOW + minutes(80);
    world
        .put(Presence {
            pool: id(),
            user: UserId::new(MARA),
            version: 0,
            since: now,
            at: now,
            asked_at: Some(now),
            watched: true,
            ttl: 0,
        })
        .await;
    lift(&world, false, now).await;
    let heard = |worker: &mut Worker| (worker.last_seen, worker.idle_since) = (now, Some(now));
    world.alter_worker(WORKER, heard).await;
    world.reap(now).await;
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Ready, "Mara keeps it up");
    lift(&world, true, now).await;
    world.reap(now).await;
    // Work that comes does not take it back.
    world.queued(TASK, MARA, now).await;
    world.dispatch_tasks(&[task_id()], now).await;
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Draining);
    world.reap(now + minutes(1)).await;
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Stopping);
}

/// Each machine counts once, and the operator is told once, whoever looks at the same time.
#[tokio::test]
async fn a_stop_counts_once_whoever_sees_it() {
    let now = NOW + minutes(80);
    let cost = MicroUsd::of_time(minutes(80), MicroUsd(804_800));
    for seed in 0..30 {
        let world = World::unkind(seed).await;
        metered(&world).await;
        world.alter_worker(WORKER, |worker| worker.heard(now)).await;
        world.port.dawdle(seed);
        tokio::join!(world.tick(now), world.tick(now));
        let told = pool(&world).await;
        assert_eq!((told.meter.told, told.meter.stopped), (100, MicroUsd(0)), "seed {seed}");
        world.instances.set(&instance_id(), InstanceState::Stopped);
        let instance = instance_id();
        tokio::join!(
            world.tick(now),
            world.ec2(&instance, "stopped", now),
            world.tick(now),
            world.ec2(&instance, "stopped", now)
        );
        world.tick(now + minutes(9)).await;
        assert_eq!(pool(&world).await.meter.stopped, cost, "seed {seed}");
        let (item, workers) = (pool(&world).await, world.workers());
        assert_eq!(meter::used(&item, &workers, now + minutes(60)), cost, "seed {seed}");
    }
}

/// A capped pool costs a submit no call more.
#[tokio::test]
async fn a_limit_costs_a_submit_no_call() {
    let mut calls = Vec::new();
    for limited in [false, true] {
        let world = World::watched(model::Settings::default()).await;
        if limited {
            limit(&world, Some(0)).await;
        }
        world.faults.take();
        world.submitted(NOW).await;
        calls.push(world.faults.take().len());
    }
    assert_eq!(calls[0], calls[1]);
}
