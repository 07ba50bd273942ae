//! `ops pool`, and the breaker: what a pool does when its machines do not come up.

use cloud::aws::CallError;
use fleet::{Fleet, FleetError, FleetPort, Instance, memory::MemoryFleet};
use model::{
    BootTimes, InstanceId, MicroUsd, Millis, Pool, PoolId, Worker, WorkerId, WorkerState, worker_api::HeartbeatReply,
};
use ops::pool::{self, Command, Limits, Position};
use policy::watch::InstanceState;
use serde_json::{Value, json};

use crate::support::{INSTANCE, MARA, NOW, POOL, TASK, WORKER, WORKER_2, World, minutes, seconds, task_id};

const SECOND: &str = "01a05cd7-2a00-7000-8000-0000000000a3";

fn id(name: &str) -> PoolId {
    PoolId::new(name)
}

async fn pool(world: &World) -> Pool {
    world.get(&id(POOL)).await
}

async fn ops(world: &World, command: Command, now: Millis) -> String {
    pool::run(&world.cloud.store, command, now).await.unwrap()
}

async fn set_breaker(world: &World, position: Position, now: Millis) -> String {
    let pool = id(POOL);
    ops(world, Command::Breaker { pool, position }, now).await
}

async fn show(world: &World, now: Millis) -> String {
    ops(world, Command::Show { pool: id(POOL) }, now).await
}

/// What the painter reads beside the waiting picture.
async fn note(world: &World, now: Millis) -> String {
    let view = world
        .paint(MARA, "GET /v1/tasks/{id}", TASK, &Value::Null, now)
        .await
        .ok();
    view["note"].as_str().unwrap().to_owned()
}

/// How many starts were counted, and how many of them as failed.
async fn counted(world: &World) -> (usize, usize) {
    let outcomes = pool(world).await.breaker.outcomes;
    (outcomes.len(), outcomes.iter().filter(|it| !it.ok).count())
}

/// A minute in which the painter asks, EC2 does what it was told, and no machine says anything.
async fn silent_minute(world: &World, now: Millis) {
    world.alter_task(&task_id(), |task| task.seen_at = now).await;
    for instance in world.instances.all() {
        if instance.view.state == InstanceState::Stopping {
            world.instances.set(&instance.view.instance_id, InstanceState::Stopped);
        }
    }
    world.tick(now).await;
}

fn coming(workers: &[Worker]) -> Vec<&WorkerId> {
    let coming = workers.iter().filter(|it| it.state.is_coming());
    coming.map(|it| &it.worker_id).collect()
}

/// The moment at which enough starts have failed, in a pool of one machine.
async fn broken(world: &World) -> Millis {
    let limits = Limits {
        max_workers: Some(1),
        ..Limits::default()
    };
    ops(world, Command::Set { pool: id(POOL), limits }, NOW).await;
    world.queued(TASK, MARA, NOW).await;
    world.painter_socket().await;
    for minute in 0..60 {
        let now = NOW + minutes(minute);
        world
            .alter_task(&task_id(), |task| task.expires_at = now + minutes(60))
            .await;
        silent_minute(world, now).await;
        if pool(world).await.breaker.opened_at.is_some() {
            return now;
        }
    }
    panic!("no start counted as failed: {:?}", pool(world).await);
}

async fn beats(world: &World, worker: &Worker, ready: bool, now: Millis) -> Worker {
    let beat = json!({ "ready": ready, "models": [] });
    let _: HeartbeatReply = world.work(worker, "heartbeat", &beat, now).await.parsed();
    world.worker(worker.worker_id.as_str()).await
}

#[tokio::test]
async fn starts_that_fail_are_paused_said_probed_and_go_on() {
    let world = World::new().await;
    let opened = broken(&world).await;
    assert_eq!(counted(&world).await, (2, 2));
    let said = world.sent();
    let last = said.last().unwrap().1["note"].as_str().unwrap();
    assert!(last.contains("do not come up"), "{last}");
    assert_eq!(coming(&world.workers()), Vec::<&WorkerId>::new());
    assert!(note(&world, opened).await.contains("stays in line"));

    // Nothing is started for the pause, by no message either; who waits was told so and is not told again.
    let before = world.instances.launches();
    for minute in 1..5 {
        silent_minute(&world, opened + minutes(minute)).await;
        world.dispatch_tasks(&[task_id()], opened + minutes(minute)).await;
        assert_eq!(coming(&world.workers()), Vec::<&WorkerId>::new());
    }
    assert_eq!(world.instances.launches(), before);
    assert_eq!(world.sent(), []);
    insta::assert_snapshot!("pool-show-open", show(&world, opened + minutes(4)).await);

    // Then one is tried, and only one.
    let probe = opened + minutes(5);
    for later in [0, 1, 60, 120, 280] {
        silent_minute(&world, probe + seconds(later)).await;
        assert_eq!(coming(&world.workers()).len(), 1, "{later} s");
    }
    assert!(note(&world, probe + seconds(280)).await.contains("waking up"));

    // It comes up: that closes the breaker, and is counted once, however often it says so.
    let workers = world.workers();
    let [probed] = coming(&workers)[..] else { panic!() };
    let now = probe + seconds(281);
    let worker = world
        .alter_worker(probed.as_str(), |worker| {
            worker.become_state(WorkerState::Warming, now).unwrap();
        })
        .await;
    for ready in [true, true, false, true] {
        beats(&world, &worker, ready, now).await;
    }
    assert_eq!(counted(&world).await, (1, 0));
    let pool = pool(&world).await;
    assert_eq!((pool.breaker.opened_at, pool.starting), (None, vec![]));
    let pace = world.get(&cloud::tables::PaceOf(id(POOL))).await;
    assert_eq!(
        pace.estimates.start.samples, 1,
        "a ComfyUI that warms up again is no start"
    );
    insta::assert_snapshot!("pool-show-closed", show(&world, now).await);
}

#[tokio::test]
async fn a_probe_that_fails_holds_the_next_one_back() {
    let world = World::new().await;
    let opened = broken(&world).await;
    let (mut now, mut failed) = (opened, counted(&world).await.1);
    let mut failures = Vec::new();
    while now < opened + minutes(40) {
        now = now + minutes(1);
        world
            .alter_task(&task_id(), |task| task.expires_at = now + minutes(60))
            .await;
        silent_minute(&world, now).await;
        assert!(coming(&world.workers()).len() <= 1);
        let (_, count) = counted(&world).await;
        if count > failed {
            assert_eq!(count, failed + 1, "one failure at a time");
            failures.push(now);
            failed = count;
        }
    }
    assert!(failures.len() >= 2);
    assert!(
        failures.windows(2).all(|it| it[1].since(it[0]) >= minutes(5)),
        "{failures:?}"
    );
}

#[tokio::test]
async fn an_operator_opens_and_closes_the_breaker() {
    let world = World::new().await;
    set_breaker(&world, Position::Open, NOW).await;
    world.queued(TASK, MARA, NOW).await;
    world.painter_socket().await;
    world.dispatch_tasks(&[task_id()], NOW).await;
    assert_eq!(world.instances.launches(), 0);
    let paused = "Your studio has paused its machines. Your picture stays in line.";
    assert_eq!(world.sent()[0].1["note"], paused);
    assert_eq!(note(&world, NOW).await, paused);
    assert!(show(&world, NOW).await.contains("open (by ops): nothing is started"));

    // Only who comes later is told from then on, once, and no more than one planner says it.
    let later = NOW + seconds(30);
    world.queued(SECOND, MARA, later).await;
    for again in 0..3 {
        world.dispatch_tasks(&[task_id()], later + seconds(again)).await;
        world.tick(later + seconds(again)).await;
    }
    let told: Vec<_> = world.sent().into_iter().map(|(_, it)| it["task_id"].clone()).collect();
    assert_eq!(told, [SECOND]);

    set_breaker(&world, Position::Auto, NOW).await;
    world.dispatch_tasks(&[task_id()], NOW).await;
    assert_eq!(world.instances.launches(), 1);

    // Closed goes over what failed; auto begins afresh.
    let world = World::new().await;
    let opened = broken(&world).await;
    set_breaker(&world, Position::Closed, opened).await;
    silent_minute(&world, opened + minutes(1)).await;
    assert_eq!(coming(&world.workers()).len(), 1);
    set_breaker(&world, Position::Auto, opened + minutes(1)).await;
    assert_eq!(counted(&world).await, (0, 0));
}

/// EC2 that refuses to launch.
#[derive(Debug)]
struct Refusing(MemoryFleet);

type Reply<'a, T> = cloud::BoxFuture<'a, Result<T, FleetError>>;

impl FleetPort for Refusing {
    fn describe(&self) -> Reply<'_, Vec<Instance>> {
        self.0.describe()
    }
    fn describe_one<'a>(&'a self, id: &'a InstanceId) -> Reply<'a, Option<Instance>> {
        self.0.describe_one(id)
    }
    fn launch<'a>(&'a self, _: &'a WorkerId, _: &'a PoolId, _: &'a [String]) -> Reply<'a, Instance> {
        Box::pin(async { Err(CallError::refused("ec2 CreateFleet", "no such image").into()) })
    }
    fn start<'a>(&'a self, id: &'a InstanceId) -> Reply<'a, ()> {
        self.0.start(id)
    }
    fn stop<'a>(&'a self, id: &'a InstanceId) -> Reply<'a, ()> {
        self.0.stop(id)
    }
    fn terminate<'a>(&'a self, id: &'a InstanceId) -> Reply<'a, ()> {
        self.0.terminate(id)
    }
}

#[tokio::test]
async fn what_ec2_refuses_counts_once_and_no_capacity_never() {
    let world = World::new().await;
    world.queued(TASK, MARA, NOW).await;
    world.painter_socket().await;
    world.ready(WORKER, INSTANCE, NOW).await;
    let stopped = |worker: &mut Worker| worker.become_state(WorkerState::Stopped, NOW).unwrap();
    world.alter_worker(WORKER, stopped).await;
    world.instances.set(&InstanceId::new(INSTANCE), InstanceState::Stopped);
    world.instances.no_capacity(true);
    world.dispatch_tasks(&[task_id()], NOW).await;
    assert_eq!(world.worker(WORKER).await.no_capacity_at, Some(NOW));
    assert_eq!(counted(&world).await, (0, 0));

    world.instances.no_capacity(false);
    // A start of an instance that EC2 does not know.
    world
        .alter_worker(WORKER, |worker| worker.instance_id = Some(InstanceId::new("i-nowhere")))
        .await;
    let scale = async |now: Millis| {
        world.alter_task(&task_id(), |task| task.seen_at = now).await;
        let fleet = Fleet::new(Refusing(world.instances.clone()));
        let scaled = fleet::scale::scale(&world.cloud, &fleet, &world.settings, &id(POOL), now).await;
        assert!(scaled.is_err());
        counted(&world).await
    };
    let now = NOW + minutes(4);
    assert_eq!(scale(now).await, (1, 1));
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Stopped);
    world.sent();
    // The stopped one rests: now a launch, the second failure.
    assert_eq!(scale(now + seconds(10)).await, (2, 2));
    assert!(world.sent()[0].1["note"].as_str().unwrap().contains("do not come up"));
    assert!(pool(&world).await.breaker.opened_at.is_some());
}

#[tokio::test]
async fn each_start_counts_once_whoever_looks_at_once() {
    for seed in 0..30 {
        let world = World::unkind(seed).await;
        world.ready(WORKER, INSTANCE, NOW).await;
        let booting = |worker: &mut Worker| worker.state = WorkerState::Booting;
        world.alter_worker(WORKER, booting).await;
        world.port.dawdle(seed);
        let late = NOW + minutes(11);
        let instance = InstanceId::new(INSTANCE);
        tokio::join!(
            world.tick(late),
            world.tick(late),
            world.ec2(&instance, "running", late)
        );
        world.tick(late).await;
        assert_eq!(counted(&world).await, (1, 1), "seed {seed}");

        let world = World::unkind(seed).await;
        let worker = world.ready(WORKER, INSTANCE, NOW).await;
        let warming = |worker: &mut Worker| worker.state = WorkerState::Warming;
        world.alter_worker(WORKER, warming).await;
        world.port.dawdle(seed);
        tokio::join!(
            beats(&world, &worker, true, NOW),
            beats(&world, &worker, true, NOW),
            world.tick(NOW)
        );
        assert_eq!(counted(&world).await, (1, 0), "seed {seed}");
    }
}

#[tokio::test]
async fn a_machine_that_is_stopped_on_purpose_while_it_comes_up_is_no_failure() {
    let world = World::new().await;
    world.ready(WORKER, INSTANCE, NOW).await;
    world
        .alter_worker(WORKER, |worker| {
            for state in [WorkerState::Warming, WorkerState::Draining, WorkerState::Stopping] {
                worker.become_state(state, NOW).unwrap();
            }
        })
        .await;
    world.instance(INSTANCE, WORKER, InstanceState::Stopped);
    world.tick(NOW + minutes(1)).await;
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Stopped);
    assert_eq!(counted(&world).await, (0, 0));
}

#[tokio::test]
async fn the_time_limit_of_a_run_goes_by_what_runs_took() {
    let limit = async |samples: u32| {
        let world = World::new().await;
        let mut pace = model::Pace::new(id(POOL));
        for _ in 0..samples {
            policy::estimate::learn_run(&mut pace.estimates, None, 40.0, seconds(8));
        }
        world.put(pace).await;
        let worker = world.ready(WORKER, INSTANCE, NOW).await;
        world.queued(TASK, MARA, NOW).await;
        world.claimed(&worker, NOW).await.unwrap().limit_ms
    };
    // Work of 40: five minutes and five seconds for each, or ten times what it takes.
    assert_eq!((limit(0).await, limit(3).await), (500_000, 380_000));
}

// ---------------------------------------------------------------- ops

#[tokio::test]
async fn a_pool_is_made_changed_shown_and_listed() {
    let world = World::new().await;
    let limits = Limits {
        prices: vec![("g5.xlarge".to_owned(), MicroUsd(450_000))],
        ..Limits::default()
    };
    let pool = id("night");
    ops(
        &world,
        Command::Set {
            pool: pool.clone(),
            limits,
        },
        NOW,
    )
    .await;
    let limits = Limits {
        max_workers: Some(5),
        instance_types: Some(vec!["g5.xlarge".to_owned()]),
        warm_up: Some("dreamshaper_8.safetensors".to_owned()),
        ..Limits::default()
    };
    let said = ops(
        &world,
        Command::Set {
            pool: pool.clone(),
            limits,
        },
        NOW,
    )
    .await;
    insta::assert_snapshot!("pool-set", said);
    let limits = Limits {
        instance_types: Some(vec![String::new()]),
        warm_up: Some(String::new()),
        ..Limits::default()
    };
    ops(
        &world,
        Command::Set {
            pool: pool.clone(),
            limits,
        },
        NOW,
    )
    .await;
    let found: Pool = world.get(&pool).await;
    assert_eq!(
        (found.max_workers, found.instance_types.len(), found.warm_up),
        (5, 0, None)
    );

    world.running(NOW).await;
    world.queued(SECOND, MARA, NOW).await;
    insta::assert_snapshot!("pool-show", show(&world, NOW).await);
    for (worker, asked, kernel, in_all) in [(WORKER, 9, Some(4000), 61), (WORKER_2, 5, None, 80)] {
        if worker == WORKER_2 {
            world.ready(WORKER_2, "i-2", NOW).await;
        }
        world
            .alter_worker(worker, |worker| {
                let asked = Millis(NOW.0 - minutes(asked).as_millis() as u64);
                worker.up_since = asked;
                let times = BootTimes {
                    kernel,
                    userland: Some(5100),
                    comfyui: Some(in_all * 100),
                    warm_up: Some(6000),
                    ..BootTimes::default()
                };
                worker.booted(times, asked + seconds(in_all));
            })
            .await;
    }
    insta::assert_snapshot!("pool-show-boots", show(&world, NOW).await);
    insta::assert_snapshot!("pool-list", ops(&world, Command::List, NOW).await);
}

#[tokio::test]
async fn what_cannot_be_done_is_said_with_what_to_do() {
    let world = World::new().await;
    let nowhere = || id("nowhere");
    let limits = Limits {
        warm_up: Some("nothing.safetensors".to_owned()),
        ..Limits::default()
    };
    for (command, expected) in [
        (
            Command::Show { pool: nowhere() },
            "there is default, and `ops pool set nowhere`",
        ),
        (
            Command::Breaker {
                pool: nowhere(),
                position: Position::Open,
            },
            "`ops pool set nowhere`",
        ),
        (
            Command::Set { pool: id(POOL), limits },
            "there is no checkpoint nothing.safetensors",
        ),
    ] {
        let before = format!("{:?}", world.memory.items());
        let error = pool::run(&world.cloud.store, command, NOW)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(format!("{:?}", world.memory.items()), before);
    }
}
