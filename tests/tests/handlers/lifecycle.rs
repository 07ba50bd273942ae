//! `lifecycle`: EC2 events and the minute tick make tables and instances agree.

use cloud::{Write, aws::CallError};
use fleet::{Fleet, FleetError, FleetPort, Instance, memory::MemoryFleet};
use model::{
    CancelCause, ConnectionId, Failure, FailureClass, InstanceId, Lane, Millis, Outcome, PoolId, Settings, Task,
    TaskState, Worker, WorkerId, WorkerState,
};
use policy::watch::{InstanceState, InstanceView};
use serde_json::{Value, json};

use crate::{
    golden::{unknown, walk},
    support::{
        INSTANCE, MARA, NOW, POOL, TASK, WORKER, WORKER_2, World, golden, instance_id, minutes, run_id, scrubbed,
        seconds, task_id,
    },
};

const SECOND: &str = "01a05cd7-2a00-7000-8000-0000000000a3";

#[tokio::test]
async fn golden_events() {
    walk("lifecycle", async |name, event| {
        let world = World::new().await;
        let before = NOW - minutes(2);
        match name {
            "ec2-running" => {
                world.ready(WORKER, INSTANCE, before).await;
                world
                    .alter_worker(WORKER, |worker| worker.state = WorkerState::Launching)
                    .await;
            }
            "ec2-stopped" => {
                world.ready(WORKER, INSTANCE, before).await;
                world
                    .alter_worker(WORKER, |worker| worker.state = WorkerState::Stopping)
                    .await;
                world.instance(INSTANCE, WORKER, InstanceState::Stopped);
            }
            "ec2-terminated" => {
                world.running(NOW - seconds(10)).await;
                world.painter_socket().await;
                world.instance(INSTANCE, WORKER, InstanceState::Gone);
            }
            "tick" => {
                world.running(NOW - seconds(40)).await;
                world.painter_socket().await;
                world.instance("i-0fedcba9876543210", "w-unknown", InstanceState::Up);
            }
            "s3-object-created" => {
                let key = event["detail"]["object"]["key"].as_str().unwrap();
                let size = event["detail"]["object"]["size"].as_u64().unwrap();
                world.memory.put_object(key, size, "");
            }
            other => unknown(other),
        }
        world.lifecycle(event, NOW).await.unwrap();
        world.effects()
    })
    .await;
    // Scrubbing is idempotent, or a snapshot of effects would not be one.
    assert_eq!(scrubbed(json!(TASK)), json!(TASK));
}

async fn in_state(world: &World, state: WorkerState, power: Option<InstanceState>, since: Millis) -> Worker {
    world.ready(WORKER, INSTANCE, since).await;
    match power {
        Some(power) => world.instance(INSTANCE, WORKER, power),
        None => world.instances.hide(true),
    }
    world
        .alter_worker(WORKER, |worker| {
            worker.state = state;
            worker.idle_since = None;
        })
        .await
}

async fn state(world: &World) -> WorkerState {
    world.worker(WORKER).await.state
}

async fn seen(world: &World, now: Millis) {
    world.alter_task(&task_id(), |task| task.seen_at = now).await;
}

// ---------------------------------------------------------------- runs

#[tokio::test]
async fn a_lost_lease_requeues_at_the_old_place() {
    let world = World::new().await;
    let (before, _) = world.running(NOW).await;
    world.painter_socket().await;
    world.tick(NOW + seconds(30)).await;
    assert_eq!(world.task(&task_id()).await.state, TaskState::Running);
    world.tick(NOW + seconds(31)).await;
    let task = world.task(&task_id()).await;
    assert_eq!(
        (task.state, task.start_tag, task.failures, task.run),
        (TaskState::Queued, before.start_tag, 1, None)
    );
    assert_eq!(world.take_queued().len(), 1);
    assert!(world.sent()[0].1["note"].as_str().unwrap().contains("starts again"));
    // The same tick again counts nothing twice.
    world.tick(NOW + seconds(31)).await;
    assert_eq!(world.task(&task_id()).await.failures, 1);
}

/// Its task waits for another machine, and not for one that says nothing.
#[tokio::test]
async fn a_worker_that_lost_its_run_by_silence_is_left_out_until_it_speaks() {
    // A pool of one machine has no other for what that one has lost.
    for (speaks, most) in [("heartbeat", 2), ("claim", 1)] {
        let world = World::new().await;
        world.alter_pool(|pool| pool.max_workers = most).await;
        world.running(NOW).await;
        world
            .alter_worker(WORKER, |worker| worker.connection = Some(ConnectionId::new("silent")))
            .await;
        let lost = NOW + seconds(31);
        world.tick(lost).await;
        let worker = world.worker(WORKER).await;
        assert_eq!((worker.state, worker.silent_since), (WorkerState::Ready, Some(lost)));
        assert_eq!(world.instances.launches(), most - 1, "nobody serves who waits");
        assert!(world.sent().is_empty(), "it is not woken");
        let now = NOW + seconds(40);
        let said = world.work(&worker, speaks, &json!({ "ready": true }), now).await.ok();
        assert!(said["work"] == true || said["assignment"]["task_id"] == TASK, "{said}");
        let worker = world.worker(WORKER).await;
        assert_eq!((worker.silent_since, worker.last_seen), (None, now));
    }
}

#[tokio::test]
async fn the_third_lost_run_fails_the_task() {
    let world = World::new().await;
    world.running(NOW).await;
    world.alter_task(&task_id(), |task| task.failures = 2).await;
    world.tick(NOW + seconds(31)).await;
    let task = world.task(&task_id()).await;
    assert_eq!((task.state, task.failures), (TaskState::Failed, 3));
    assert!(task.error.unwrap().message.contains("fell silent"));
    assert!(world.take_queued().is_empty());
}

#[tokio::test]
async fn a_run_past_its_deadline_is_lost_however_alive_it_is() {
    let world = World::new().await;
    let (task, _) = world.running(NOW).await;
    let deadline = task.run.unwrap().deadline;
    let alive = async |now: Millis| {
        world
            .alter_task(&task_id(), |task| {
                task.run.as_mut().unwrap().lease_until = now + seconds(30);
            })
            .await;
        world.alter_worker(WORKER, |worker| worker.last_seen = now).await;
        world.tick(now).await;
        world.task(&task_id()).await.state
    };
    assert_eq!(alive(deadline + seconds(30)).await, TaskState::Running);
    assert_eq!(alive(deadline + seconds(31)).await, TaskState::Queued);
}

#[tokio::test]
async fn a_failure_said_between_look_and_write_is_the_last_word() {
    // The tick saw an old lease; the worker's result gets in between.
    let world = World::new().await;
    let (_, worker) = world.running(NOW).await;
    let late = NOW + seconds(31);
    let cloud = world.cloud.clone();
    let outcome = Outcome::Failed(Failure::new(FailureClass::User, "x"));
    world.port.before_commit(
        |writes| writes.iter().any(|write| write.key.partition == TASK),
        async move || {
            let ended = tasks::runs::end_run(&cloud, task_id(), run_id(), None, &outcome, late).await;
            ended.unwrap().tell(&cloud, &Settings::default()).await;
        },
    );
    world.tick(late).await;
    assert!(world.port.hook_is_spent());
    let task = world.task(&task_id()).await;
    assert_eq!(
        (task.state, task.failures),
        (TaskState::Failed, 0),
        "only the worker's word counts"
    );
    assert_eq!(world.worker(worker.worker_id.as_str()).await.run, None);
}

/// Changes the golden task just before the tick's first commit about it.
fn task_changes_in_between(world: &World, change: impl FnOnce(&mut Task) + Send + 'static) {
    let cloud = world.memory.cloud();
    world.port.before_commit(
        |writes| writes.iter().any(|write| write.key.partition == TASK),
        async move || {
            let mut task = cloud.store.get(&task_id()).await.unwrap().unwrap();
            change(&mut task);
            cloud.store.commit([Write::put(&mut task).unwrap()]).await.unwrap();
        },
    );
}

#[tokio::test]
async fn a_heartbeat_between_look_and_write_saves_the_run() {
    let world = World::new().await;
    world.running(NOW).await;
    let late = NOW + seconds(31);
    task_changes_in_between(&world, move |task| {
        task.run.as_mut().unwrap().lease_until = late + seconds(30);
    });
    world.tick(late).await;
    assert!(world.port.hook_is_spent());
    let task = world.task(&task_id()).await;
    assert_eq!((task.state, task.failures), (TaskState::Running, 0));
}

#[tokio::test]
async fn a_poll_between_look_and_write_saves_the_task() {
    let world = World::new().await;
    world.queued(TASK, MARA, NOW).await;
    let late = NOW + minutes(5);
    task_changes_in_between(&world, move |task| task.seen_at = late);
    world.tick(late).await;
    assert!(world.port.hook_is_spent());
    assert_eq!(world.task(&task_id()).await.state, TaskState::Queued);
}

// ---------------------------------------------------------------- expiry

#[tokio::test]
async fn a_waiting_task_expires_in_time() {
    let world = World::new().await;
    world.queued(TASK, MARA, NOW).await;
    world.painter_socket().await;
    let now = NOW + minutes(60);
    seen(&world, now - seconds(5)).await;
    world.tick(now - seconds(1)).await;
    assert_eq!(world.task(&task_id()).await.state, TaskState::Queued);
    world.sent();
    for _ in 0..2 {
        world.tick(now).await;
        assert_eq!(world.task(&task_id()).await.state, TaskState::Expired);
    }
    assert_eq!(world.sent().len(), 1);
}

#[tokio::test]
async fn a_waiting_task_expires_when_nobody_asks_for_it() {
    let world = World::new().await;
    world.queued(TASK, MARA, NOW).await;
    let batch = world.queued(SECOND, MARA, NOW).await;
    world.alter_task(&batch, |task| task.lane = Lane::Batch).await;
    world.tick(NOW + seconds(299)).await;
    assert_eq!(world.task(&task_id()).await.state, TaskState::Queued);
    world.tick(NOW + seconds(300)).await;
    assert_eq!(world.task(&task_id()).await.state, TaskState::Expired);
    assert_eq!(world.task(&batch).await.state, TaskState::Queued);
}

#[tokio::test]
async fn a_poll_that_the_index_does_not_show_yet_saves_the_task() {
    for seed in 0..20 {
        let world = World::lagging(seed).await;
        world.queued(TASK, MARA, NOW).await;
        let now = NOW + seconds(300);
        seen(&world, now - seconds(10)).await;
        world.tick(now).await;
        assert_eq!(world.task(&task_id()).await.state, TaskState::Queued, "seed {seed}");
    }
}

#[tokio::test]
async fn a_running_task_past_its_time_is_canceled_and_then_expired() {
    let world = World::new().await;
    let (_, worker) = world.running(NOW).await;
    world
        .alter_worker(WORKER, |worker| {
            worker.connection = Some(ConnectionId::new("s"));
            worker.last_seen = NOW + seconds(20);
        })
        .await;
    world
        .alter_task(&task_id(), |task| task.expires_at = NOW + seconds(20))
        .await;
    for _ in 0..2 {
        world.tick(NOW + seconds(20)).await;
        assert_eq!(world.task(&task_id()).await.state, TaskState::Canceling);
    }
    assert_eq!(
        world.sent(),
        [("s".to_owned(), json!({ "event": "cancel", "run_id": run_id() }))]
    );
    let failure = json!({ "task_id": TASK, "run_id": run_id() });
    world.work(&worker, "failure", &failure, NOW + seconds(21)).await.ok();
    assert_eq!(world.task(&task_id()).await.state, TaskState::Expired);
}

#[tokio::test]
async fn a_canceled_run_whose_worker_is_lost_ends() {
    for (cause, end) in [
        (CancelCause::User, TaskState::Canceled),
        (CancelCause::Expired, TaskState::Expired),
    ] {
        let world = World::new().await;
        world.running(NOW).await;
        world
            .alter_task(&task_id(), |task| {
                task.cancel(cause, NOW);
            })
            .await;
        world.tick(NOW + seconds(31)).await;
        let task = world.task(&task_id()).await;
        assert_eq!((task.state, task.failures), (end, 0));
        assert!(world.take_queued().is_empty());
    }
}

#[tokio::test]
async fn a_task_that_waits_starts_a_machine_at_the_tick() {
    let world = World::new().await;
    world.queued(TASK, MARA, NOW).await;
    for later in [0, 1, 30] {
        world.tick(NOW + seconds(later)).await;
    }
    assert_eq!(world.instances.launches(), 1);
}

// ---------------------------------------------------------------- EC2 events

#[tokio::test]
async fn a_terminated_instance_gives_its_run_back_at_once() {
    let world = World::new().await;
    world.running(NOW).await;
    world.instance(INSTANCE, WORKER, InstanceState::Gone);
    // Doubled, and a late one about the time when it still ran.
    for event in ["terminated", "shutting-down", "running", "terminated"] {
        world.ec2(&instance_id(), event, NOW + seconds(3)).await;
        assert_eq!(state(&world).await, WorkerState::Gone);
    }
    let task = world.task(&task_id()).await;
    assert_eq!((task.state, task.failures), (TaskState::Queued, 1));
    // Nothing is up any more: another machine is on its way, once.
    assert_eq!(world.instances.launches(), 1);
}

#[tokio::test]
async fn a_stopped_instance_gives_its_run_back_at_once() {
    let world = World::new().await;
    world.running(NOW).await;
    world.instance(INSTANCE, WORKER, InstanceState::Stopped);
    world.ec2(&instance_id(), "stopped", NOW + seconds(3)).await;
    // It was stopped, and is the best to start again.
    assert_eq!(state(&world).await, WorkerState::Starting);
    assert_eq!(world.power(INSTANCE), InstanceState::Up);
    assert_eq!(world.task(&task_id()).await.state, TaskState::Queued);
}

#[tokio::test]
async fn events_in_any_order_end_where_ec2_is() {
    let orders = [
        ["pending", "running", "stopping", "stopped"],
        ["stopped", "stopping", "running", "pending"],
        ["running", "stopped", "pending", "stopping"],
    ];
    for order in orders {
        let world = World::new().await;
        in_state(&world, WorkerState::Starting, Some(InstanceState::Up), NOW - minutes(2)).await;
        for event in order {
            world.ec2(&instance_id(), event, NOW).await;
        }
        assert_eq!(
            state(&world).await,
            WorkerState::Booting,
            "it runs, whatever the events say: {order:?}"
        );
        world.instance(INSTANCE, WORKER, InstanceState::Stopped);
        for event in order {
            world.ec2(&instance_id(), event, NOW + minutes(2)).await;
        }
        assert_eq!(state(&world).await, WorkerState::Stopped, "{order:?}");
    }
}

#[tokio::test]
async fn somebody_elses_instance_is_left_alone() {
    let world = World::new().await;
    let before = world.written();
    world.ec2(&InstanceId::new("i-elsewhere"), "running", NOW).await;
    assert_eq!(world.written(), before);
}

#[tokio::test]
async fn an_event_about_a_second_instance_leaves_the_first_alone() {
    let world = World::new().await;
    world.running(NOW).await;
    world.instance("i-second", WORKER, InstanceState::Up);
    world
        .ec2(&InstanceId::new("i-second"), "running", NOW + seconds(3))
        .await;
    assert_eq!(world.power("i-second"), InstanceState::Gone);
    assert_eq!(world.power(INSTANCE), InstanceState::Up);
    assert_eq!(state(&world).await, WorkerState::Busy);
    assert_eq!(world.task(&task_id()).await.state, TaskState::Running);
    // Its end is no news about the first one either.
    world
        .ec2(&InstanceId::new("i-second"), "terminated", NOW + minutes(3))
        .await;
    assert_ne!(state(&world).await, WorkerState::Gone);
}

// ---------------------------------------------------------------- instances

#[tokio::test]
async fn an_instance_that_nobody_knows_is_terminated() {
    let world = World::new().await;
    world.instance("i-stray", "w-unknown", InstanceState::Up);
    world.tick(NOW).await;
    assert_eq!(world.power("i-stray"), InstanceState::Gone);
    world.instance("i-stray-2", "w-unknown", InstanceState::Stopped);
    world.ec2(&InstanceId::new("i-stray-2"), "stopped", NOW).await;
    assert_eq!(world.power("i-stray-2"), InstanceState::Gone);
}

#[tokio::test]
async fn instances_of_a_pool_that_is_no_more_are_looked_after() {
    let world = World::new().await;
    let elsewhere = |id: &str, worker: &str, view| Instance {
        view: InstanceView {
            instance_id: InstanceId::new(id),
            state: view,
        },
        worker_id: WorkerId::new(worker),
        pool: PoolId::new("no-more"),
        instance_type: "g6.xlarge".to_owned(),
        old_image: false,
    };
    world.ready(WORKER, INSTANCE, NOW).await;
    world.instances.insert(elsewhere(INSTANCE, WORKER, InstanceState::Up));
    world
        .instances
        .insert(elsewhere("i-stray", "w-unknown", InstanceState::Up));
    world.tick(NOW + seconds(20)).await;
    assert_eq!(world.power("i-stray"), InstanceState::Gone);
    assert_eq!(
        (world.power(INSTANCE), state(&world).await),
        (InstanceState::Up, WorkerState::Ready)
    );
}

#[tokio::test]
async fn a_machine_that_went_away_twice_is_not_kept() {
    let world = World::new().await;
    in_state(&world, WorkerState::Stopped, Some(InstanceState::Stopped), NOW).await;
    for (failures, power) in [(1, InstanceState::Stopped), (2, InstanceState::Gone)] {
        world.alter_worker(WORKER, |worker| worker.failures = failures).await;
        world.tick(NOW + minutes(1)).await;
        assert_eq!(world.power(INSTANCE), power);
    }
    assert_eq!(state(&world).await, WorkerState::Gone);
}

#[tokio::test]
async fn an_instance_of_a_worker_that_is_gone_is_terminated() {
    for power in [InstanceState::Up, InstanceState::Stopped] {
        let world = World::new().await;
        in_state(&world, WorkerState::Gone, Some(power), NOW - minutes(2)).await;
        world.tick(NOW).await;
        assert_eq!(world.power(INSTANCE), InstanceState::Gone, "{power:?}");
    }
}

#[tokio::test]
async fn a_launch_that_was_cut_off_is_adopted() {
    let world = World::new().await;
    let mut worker = Worker::launching(WorkerId::new(WORKER), PoolId::new(POOL), NOW);
    worker.version = 0;
    world.put(worker).await;
    world.instance(INSTANCE, WORKER, InstanceState::Up);
    world.tick(NOW + seconds(20)).await;
    let worker = world.worker(WORKER).await;
    assert_eq!(
        (worker.state, worker.instance_id, worker.instance_type.as_deref()),
        (WorkerState::Booting, Some(instance_id()), Some("g6.xlarge"))
    );
    assert_eq!(world.power(INSTANCE), InstanceState::Up);
}

#[tokio::test]
async fn a_launch_that_never_happened_is_given_up_after_a_while() {
    let world = World::new().await;
    world
        .put(Worker::launching(WorkerId::new(WORKER), PoolId::new(POOL), NOW))
        .await;
    world.tick(NOW + seconds(59)).await;
    assert_eq!(state(&world).await, WorkerState::Launching, "EC2's descriptions lag");
    world.tick(NOW + seconds(60)).await;
    assert_eq!(state(&world).await, WorkerState::Gone);
}

#[tokio::test]
async fn descriptions_that_lag_end_nobody() {
    for state_now in [WorkerState::Launching, WorkerState::Starting, WorkerState::Booting] {
        let world = World::new().await;
        in_state(&world, state_now, None, NOW).await;
        world.tick(NOW + seconds(30)).await;
        assert_eq!(state(&world).await, state_now);
        world.tick(NOW + minutes(2)).await;
        assert_eq!(state(&world).await, state_now, "one description ends nothing");
        world.tick(NOW + minutes(5)).await;
        assert_eq!(state(&world).await, WorkerState::Gone, "{state_now:?}");
    }
}

#[tokio::test]
async fn a_state_younger_than_the_look_at_ec2_stays() {
    // The tick described the instances; then a planner started this one.
    let world = World::new().await;
    in_state(
        &world,
        WorkerState::Booting,
        Some(InstanceState::Stopped),
        NOW + seconds(2),
    )
    .await;
    world.tick(NOW).await;
    assert_eq!(state(&world).await, WorkerState::Booting);
    world.tick(NOW + minutes(2)).await;
    assert_eq!(state(&world).await, WorkerState::Stopped);
}

#[tokio::test]
async fn a_stopping_worker_whose_instance_runs_is_stopped_again() {
    let world = World::new().await;
    in_state(&world, WorkerState::Stopping, Some(InstanceState::Up), NOW).await;
    for minute in 1..3 {
        world.instance(INSTANCE, WORKER, InstanceState::Up);
        world.tick(NOW + minutes(minute)).await;
        assert_eq!(world.power(INSTANCE), InstanceState::Stopping);
        assert_eq!(state(&world).await, WorkerState::Stopping);
    }
    world.instance(INSTANCE, WORKER, InstanceState::Stopped);
    world.tick(NOW + minutes(3)).await;
    assert_eq!(state(&world).await, WorkerState::Stopped);
    // Somebody started it by hand.
    world.instance(INSTANCE, WORKER, InstanceState::Up);
    world.tick(NOW + minutes(4)).await;
    assert_eq!(world.power(INSTANCE), InstanceState::Stopping);
}

#[tokio::test]
async fn a_silent_worker_fails_and_is_stopped_then_terminated() {
    let world = World::new().await;
    let mut now = NOW;
    in_state(&world, WorkerState::Ready, Some(InstanceState::Up), now).await;
    world.tick(now + seconds(89)).await;
    assert_eq!(state(&world).await, WorkerState::Ready);
    now = now + seconds(90);
    world.tick(now).await;
    assert_eq!(state(&world).await, WorkerState::Failed);
    now = now + minutes(1);
    world.tick(now).await;
    assert_eq!(
        (state(&world).await, world.power(INSTANCE)),
        (WorkerState::Stopping, InstanceState::Stopping)
    );
    world.instance(INSTANCE, WORKER, InstanceState::Stopped);
    world.tick(now).await;
    assert_eq!(state(&world).await, WorkerState::Stopped);

    // It starts again and does not come up.
    world
        .alter_worker(WORKER, |worker| {
            worker.state = WorkerState::Booting;
            worker.state_since = now;
        })
        .await;
    world.instance(INSTANCE, WORKER, InstanceState::Up);
    world.tick(now + minutes(9)).await;
    assert_eq!(state(&world).await, WorkerState::Booting);
    now = now + minutes(10);
    world.tick(now).await;
    assert_eq!(
        (state(&world).await, world.worker(WORKER).await.failures),
        (WorkerState::Failed, 2)
    );
    world.tick(now + minutes(1)).await;
    assert_eq!(
        (state(&world).await, world.power(INSTANCE)),
        (WorkerState::Gone, InstanceState::Gone)
    );
}

#[tokio::test]
async fn a_silent_busy_worker_gives_its_run_back() {
    let world = World::new().await;
    world.running(NOW).await;
    world
        .alter_task(&task_id(), |task| {
            task.run.as_mut().unwrap().lease_until = NOW + minutes(5);
        })
        .await;
    world.tick(NOW + seconds(90)).await;
    assert_eq!(state(&world).await, WorkerState::Failed);
    assert_eq!(world.task(&task_id()).await.state, TaskState::Queued);
}

#[tokio::test]
async fn a_worker_that_crashes_while_it_warms_up_fails_in_time() {
    let world = World::new().await;
    in_state(&world, WorkerState::Warming, Some(InstanceState::Up), NOW).await;
    // It registers anew each minute and never gets ready.
    for minute in 1..10 {
        let now = NOW + minutes(minute);
        let mut worker = world.worker(WORKER).await;
        worker.become_state(WorkerState::Warming, now).unwrap();
        worker.last_seen = now;
        world.put(worker).await;
        world.tick(now).await;
        assert_eq!(state(&world).await, WorkerState::Warming);
    }
    world
        .alter_worker(WORKER, |worker| worker.last_seen = NOW + minutes(10))
        .await;
    world.tick(NOW + minutes(10)).await;
    assert_eq!(state(&world).await, WorkerState::Failed);
}

#[tokio::test]
async fn a_failed_worker_that_begins_again_in_between_is_not_stopped() {
    let world = World::new().await;
    in_state(&world, WorkerState::Failed, Some(InstanceState::Up), NOW).await;
    let port = world.port.clone();
    let memory = world.memory.clone();
    world.port.before_commit(
        |writes| writes.iter().any(|write| write.key.partition == WORKER),
        async move || {
            let mut worker: Worker = port.get(&WorkerId::new(WORKER)).await.unwrap();
            worker.become_state(WorkerState::Warming, NOW + minutes(1)).unwrap();
            worker.last_seen = NOW + minutes(1);
            let write = cloud::Write::put(&mut worker).unwrap();
            memory.cloud().store.commit([write]).await.unwrap();
        },
    );
    world.tick(NOW + minutes(1)).await;
    assert!(world.port.hook_is_spent());
    assert_eq!(
        (state(&world).await, world.power(INSTANCE)),
        (WorkerState::Warming, InstanceState::Up)
    );
}

/// EC2 that will not stop one instance, or describe any.
#[derive(Debug, Clone)]
struct Stubborn {
    fleet: MemoryFleet,
    blind: bool,
}

type Reply<'a, T> = cloud::BoxFuture<'a, Result<T, FleetError>>;

fn refuse<T>(call: &'static str) -> Result<T, FleetError> {
    Err(CallError::refused(call, "it does not want to").into())
}

impl FleetPort for Stubborn {
    fn describe(&self) -> Reply<'_, Vec<Instance>> {
        Box::pin(async {
            if self.blind {
                refuse("DescribeInstances")
            } else {
                Ok(self.fleet.all())
            }
        })
    }
    fn describe_one<'a>(&'a self, _: &'a InstanceId) -> Reply<'a, Option<Instance>> {
        Box::pin(async { refuse("DescribeInstances") })
    }
    fn launch<'a>(&'a self, worker: &'a WorkerId, pool: &'a PoolId, types: &'a [String]) -> Reply<'a, Instance> {
        self.fleet.launch(worker, pool, types)
    }
    fn start<'a>(&'a self, id: &'a InstanceId) -> Reply<'a, ()> {
        self.fleet.start(id)
    }
    fn stop<'a>(&'a self, _: &'a InstanceId) -> Reply<'a, ()> {
        Box::pin(async { refuse("StopInstances") })
    }
    fn terminate<'a>(&'a self, id: &'a InstanceId) -> Reply<'a, ()> {
        self.fleet.terminate(id)
    }
}

fn with_fleet(world: &World, fleet: impl FleetPort + 'static) -> lifecycle::App {
    lifecycle::App {
        cloud: world.cloud.clone(),
        fleet: Fleet::new(fleet),
        settings: world.settings.clone(),
    }
}

#[tokio::test]
async fn an_instance_that_cannot_be_stopped_holds_nothing_else_up() {
    let world = World::new().await;
    let stubborn = with_fleet(
        &world,
        Stubborn {
            fleet: world.instances.clone(),
            blind: false,
        },
    );
    world.running(NOW).await;
    world.queued(SECOND, MARA, NOW - minutes(6)).await;
    // First in order, so that everything else comes after it.
    world.ready("a-stubborn-one", "i-s", NOW).await;
    world
        .alter_worker("a-stubborn-one", |worker| worker.state = WorkerState::Stopping)
        .await;
    world.instance("i-stray", "w-unknown", InstanceState::Up);
    let event = golden("lifecycle", "tick");
    let outcome = stubborn.handle(&event, NOW + seconds(100)).await;
    assert!(outcome.is_err(), "the alarm has to see it");
    assert_eq!(state(&world).await, WorkerState::Failed);
    assert_eq!(world.task(&task_id()).await.state, TaskState::Queued);
    assert_eq!(world.task(&SECOND.parse().unwrap()).await.state, TaskState::Expired);
    assert_eq!(world.power("i-stray"), InstanceState::Gone);
}

#[tokio::test]
async fn tasks_are_looked_after_while_ec2_cannot_be_asked() {
    let world = World::new().await;
    let blind = with_fleet(
        &world,
        Stubborn {
            fleet: world.instances.clone(),
            blind: true,
        },
    );
    world.running(NOW).await;
    world.queued(SECOND, MARA, NOW - minutes(6)).await;
    let outcome = blind.handle(&golden("lifecycle", "tick"), NOW + seconds(40)).await;
    assert!(outcome.is_err(), "the alarm has to see it");
    assert_eq!(world.task(&task_id()).await.state, TaskState::Queued);
    assert_eq!(world.task(&SECOND.parse().unwrap()).await.state, TaskState::Expired);
    assert_eq!(
        state(&world).await,
        WorkerState::Ready,
        "nothing is known about its instance"
    );
}

#[tokio::test]
async fn ticks_at_once_do_everything_once() {
    for seed in 0..30 {
        let world = World::unkind(seed).await;
        world.running(NOW).await;
        world.ready(WORKER_2, "i-2", NOW).await;
        world.instance("i-2", WORKER_2, InstanceState::Gone);
        world.port.dawdle(seed);
        let late = NOW + seconds(70);
        seen(&world, late).await;
        let gone = InstanceId::new("i-2");
        tokio::join!(world.tick(late), world.tick(late), world.ec2(&gone, "terminated", late));
        let task = world.task(&task_id()).await;
        // The index may have shown neither worker yet; then the next tick does.
        assert!(task.failures <= 1, "seed {seed}");
        world.tick(late).await;
        world.tick(late).await;
        let task = world.task(&task_id()).await;
        assert_eq!((task.state, task.failures), (TaskState::Queued, 1), "seed {seed}");
        assert_eq!(world.worker(WORKER_2).await.state, WorkerState::Gone, "seed {seed}");
    }
}

#[tokio::test]
async fn an_upload_that_is_too_large_is_deleted_by_what_it_is_now() {
    let world = World::new().await;
    let event = golden("lifecycle", "s3-object-created");
    let key = event["detail"]["object"]["key"].as_str().unwrap().to_owned();
    let told = async |event: &Value| world.lifecycle(event.clone(), NOW).await.unwrap();
    let is_there = async |key: &str| world.cloud.bucket.head(key).await.unwrap().is_some();
    let max = world.settings.max_upload;
    for (size, stays) in [(max, true), (max + 1, false)] {
        world.memory.put_object(&key, size, "");
        told(&event).await;
        assert_eq!(is_there(&key).await, stays, "{size}");
    }
    // Late, twice, or about something else: nothing is deleted that is no upload.
    told(&event).await;
    for other in ["results/x", "plans/uploads/x", "uploads"] {
        let mut event = event.clone();
        event["detail"]["object"]["key"] = other.into();
        world.memory.put_object(other, max + 1, "");
        told(&event).await;
        assert!(is_there(other).await, "{other}");
    }
}

#[tokio::test]
async fn a_machine_image_that_is_no_more_launched_is_replaced_when_nobody_needs_it() {
    let world = World::new().await;
    world.ready(WORKER, INSTANCE, NOW).await;
    world.ready(WORKER_2, "i-2", NOW).await;
    world.alter_worker(WORKER_2, |it| it.state = WorkerState::Stopped).await;
    world.instances.set(&InstanceId::new("i-2"), InstanceState::Stopped);
    world.instances.new_image();
    let now = NOW + minutes(1);
    world.tick(now).await;
    assert_eq!(world.power("i-2"), InstanceState::Gone, "one that is off at once");

    world.alter_worker(WORKER, |it| it.heard(now)).await;
    world.reap(now).await;
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Draining);
    world.reap(now + minutes(1)).await;
    world.instances.settle();
    world.ec2(&instance_id(), "stopped", now + minutes(2)).await;
    world.tick(now + minutes(3)).await;
    assert_eq!(world.power(INSTANCE), InstanceState::Gone);
    let pool: model::Pool = world.get(&PoolId::new(POOL)).await;
    assert!(pool.breaker.outcomes.is_empty(), "{:?}", pool.breaker);
}
