//! `dispatch`: messages about waiting tasks wake or start machines. A message only says "look".

use cloud::aws::CallError;
use cloud::queue::SqsBatchResponse;
use fleet::{Fleet, FleetError, FleetPort, Instance, memory::MemoryFleet};
use model::{ConnectionId, InstanceId, Millis, Pool, PoolId, TaskState, WorkerId, WorkerState};
use policy::watch::InstanceState;
use serde_json::json;

use crate::{
    golden::{unknown, walk},
    support::{INSTANCE, MARA, NOW, POOL, TASK, WORKER, WORKER_2, World, minutes, scrubbed, seconds, sqs, task_id},
};

const SECOND: &str = "01a05cd7-2a00-7000-8000-0000000000a3";

fn failures(response: &SqsBatchResponse) -> Vec<&str> {
    let items = response.batch_item_failures.iter();
    items.map(|item| item.item_identifier.as_str()).collect()
}

async fn pool(world: &World) -> Pool {
    world.get(&PoolId::new(POOL)).await
}

async fn stopped(world: &World, id: &str, instance: &str, since: Millis) {
    world.ready(id, instance, since).await;
    world
        .alter_worker(id, |worker| {
            worker.state = WorkerState::Stopped;
            worker.state_since = since;
            worker.idle_since = None;
        })
        .await;
    world.instance(instance, id, InstanceState::Stopped);
}

#[tokio::test]
async fn golden_events() {
    walk("dispatch", async |name, event| {
        let world = World::new().await;
        match name {
            "batch" => {
                stopped(&world, WORKER, INSTANCE, NOW - minutes(20)).await;
                world.queued(TASK, MARA, NOW - seconds(1)).await;
                world.queued(SECOND, MARA, NOW - seconds(1)).await;
                world.painter_socket().await;
            }
            other => unknown(other),
        }
        let response = world.dispatch(event, NOW).await;
        scrubbed(json!({ "response": response, "effects": world.effects() }))
    })
    .await;
}

#[tokio::test]
async fn malformed_messages_are_acknowledged_and_the_others_are_served() {
    let world = World::new().await;
    world.queued(TASK, MARA, NOW).await;
    let good = json!({ "task_id": TASK, "pool": POOL }).to_string();
    let bodies = [
        "",
        "{",
        "null",
        "{\"task_id\":\"x\",\"pool\":\"default\"}",
        "{\"pool\":null}",
    ];
    let mut all: Vec<_> = bodies.iter().map(|body| (*body).to_owned()).collect();
    let response = world.dispatch(sqs(&all), NOW).await;
    assert!(failures(&response).is_empty() && world.instances.launches() == 0);
    all.insert(2, good);
    let response = world.dispatch(sqs(&all), NOW).await;
    assert!(failures(&response).is_empty());
    assert_eq!(world.instances.launches(), 1);
    assert!(failures(&world.dispatch(sqs(&[]), NOW).await).is_empty());
}

#[tokio::test]
async fn a_message_for_a_pool_that_does_not_exist_is_acknowledged() {
    let world = World::new().await;
    let body = json!({ "task_id": TASK, "pool": "nobody" }).to_string();
    assert!(failures(&world.dispatch(sqs(&[body]), NOW).await).is_empty());
}

#[tokio::test]
async fn doubled_late_and_reordered_messages_launch_once() {
    let world = World::new().await;
    let (first, second) = (
        world.queued(TASK, MARA, NOW).await,
        world.queued(SECOND, MARA, NOW).await,
    );
    world.dispatch_tasks(&[second, first, second], NOW).await;
    for second_later in [0, 1, 30] {
        world.dispatch_tasks(&[first], NOW + seconds(second_later)).await;
    }
    assert_eq!(world.instances.launches(), 1);
    // Long after the task is over, too.
    for id in [first, second] {
        world
            .alter_task(&id, |task| {
                task.cancel(model::CancelCause::User, NOW);
            })
            .await;
    }
    let [worker] = world.workers().try_into().unwrap();
    world
        .alter_worker(worker.worker_id.as_str(), |worker| worker.state = WorkerState::Stopped)
        .await;
    world.dispatch_tasks(&[first, second], NOW + minutes(20)).await;
    assert_eq!(
        world.worker(worker.worker_id.as_str()).await.state,
        WorkerState::Stopped
    );
    assert_eq!(world.instances.launches(), 1);
}

#[tokio::test]
async fn planners_at_once_launch_once() {
    for seed in 0..60 {
        let world = World::unkind(seed).await;
        let id = world.queued(TASK, MARA, NOW).await;
        world.port.dawdle(seed);
        let tasks = [id];
        let (a, b, (), ()) = tokio::join!(
            world.dispatch_tasks(&tasks, NOW),
            world.dispatch_tasks(&tasks, NOW),
            world.tick(NOW),
            world.tick(NOW),
        );
        assert!(failures(&a).is_empty() && failures(&b).is_empty());
        assert!(world.instances.launches() <= 1, "seed {seed}");
        // If every plan met a conflict for no reason, a later tick makes it good.
        for minute in 1..5 {
            world.tick(NOW + minutes(minute) - seconds(1)).await;
            world.alter_task(&id, |task| task.seen_at = NOW + minutes(minute)).await;
        }
        assert_eq!(world.instances.launches(), 1, "seed {seed}");
    }
}

#[tokio::test]
async fn the_instance_stopped_last_starts() {
    let world = World::new().await;
    stopped(&world, WORKER, INSTANCE, NOW - minutes(9)).await;
    stopped(&world, WORKER_2, "i-2", NOW - minutes(5)).await;
    let id = world.queued(TASK, MARA, NOW).await;
    let socket = world.painter_socket().await;
    world.dispatch_tasks(&[id, id], NOW).await;
    world.dispatch_tasks(&[id], NOW).await;
    assert_eq!(
        (world.power(INSTANCE), world.power("i-2")),
        (InstanceState::Stopped, InstanceState::Up)
    );
    let worker = world.worker(WORKER_2).await;
    assert_eq!((worker.state, worker.generation), (WorkerState::Starting, 2));
    let sent = world.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].0, socket.to_string());
    assert!(sent[0].1["note"].as_str().unwrap().contains("waking up"));
    assert_eq!(world.instances.launches(), 0);
}

#[tokio::test]
async fn a_worker_that_is_up_is_woken_and_nothing_starts() {
    let world = World::new().await;
    stopped(&world, WORKER_2, "i-2", NOW).await;
    world.ready(WORKER, INSTANCE, NOW).await;
    world
        .alter_worker(WORKER, |worker| worker.connection = Some(ConnectionId::new("s")))
        .await;
    let id = world.queued(TASK, MARA, NOW).await;
    world.dispatch_tasks(&[id], NOW).await;
    assert_eq!(
        world.sent(),
        [("s".to_owned(), json!({ "event": "wake", "task_id": id }))]
    );
    assert_eq!(world.power("i-2"), InstanceState::Stopped);
    // A busy one serves, too; one that has fallen silent does not.
    world.running(NOW).await;
    world.queued(SECOND, MARA, NOW).await;
    world.dispatch_tasks(&[id], NOW).await;
    assert_eq!(world.power("i-2"), InstanceState::Stopped);
    let later = NOW + minutes(2);
    for task in [task_id(), SECOND.parse().unwrap()] {
        world.alter_task(&task, |task| task.seen_at = later).await;
    }
    world.dispatch_tasks(&[id], later).await;
    assert_eq!(world.power("i-2"), InstanceState::Up);
}

#[tokio::test]
async fn a_draining_worker_goes_on() {
    let world = World::new().await;
    world.ready(WORKER, INSTANCE, NOW).await;
    world
        .alter_worker(WORKER, |worker| {
            worker.state = WorkerState::Draining;
            worker.connection = Some(ConnectionId::new("s"));
        })
        .await;
    let id = world.queued(TASK, MARA, NOW).await;
    world.dispatch_tasks(&[id], NOW).await;
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Ready);
    assert_eq!(world.sent()[0].1["event"], "wake");
    assert_eq!(world.instances.launches(), 0);
}

#[tokio::test]
async fn no_capacity_waits_says_so_and_is_no_failure() {
    let world = World::new().await;
    world.instances.no_capacity(true);
    stopped(&world, WORKER, INSTANCE, NOW - minutes(9)).await;
    let id = world.queued(TASK, MARA, NOW).await;
    world.painter_socket().await;
    let response = world.dispatch_tasks(&[id], NOW).await;
    assert!(failures(&response).is_empty());
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Stopped);
    let task = world.task(&id).await;
    assert_eq!((task.state, task.failures), (TaskState::Queued, 0));
    let note = world.sent()[0].1["note"].as_str().unwrap().to_owned();
    assert!(note.contains("No GPU is to be had"), "{note}");
    assert_eq!(pool(&world).await.no_capacity_at, Some(NOW));

    // Nothing is tried during the pause, by nobody; afterwards it is.
    world.instances.no_capacity(false);
    let again = async |now: Millis| {
        world.alter_task(&id, |task| task.seen_at = now).await;
        world.dispatch_tasks(&[id], now).await;
        world.tick(now).await;
        world.power(INSTANCE)
    };
    assert_eq!(again(NOW + seconds(179)).await, InstanceState::Stopped);
    // Then the stopped instance comes first again: its disk is paid for.
    assert_eq!(again(NOW + seconds(180)).await, InstanceState::Up);
    assert_eq!(world.instances.launches(), 0);
}

#[tokio::test]
async fn where_a_stopped_instance_has_no_capacity_another_one_is_launched_at_once() {
    let world = World::new().await;
    stopped(&world, WORKER, INSTANCE, NOW - minutes(9)).await;
    world
        .alter_worker(WORKER, |worker| worker.no_capacity_at = Some(NOW - seconds(1)))
        .await;
    let id = world.queued(TASK, MARA, NOW).await;
    world.dispatch_tasks(&[id], NOW).await;
    assert_eq!(world.power(INSTANCE), InstanceState::Stopped);
    assert_eq!(world.instances.launches(), 1);
}

#[tokio::test]
async fn no_capacity_for_a_launch_leaves_no_worker_behind_that_counts() {
    let world = World::new().await;
    world.instances.no_capacity(true);
    let id = world.queued(TASK, MARA, NOW).await;
    for attempt in 0..5 {
        let now = NOW + minutes(4 * attempt);
        world.alter_task(&id, |task| task.seen_at = now).await;
        assert!(failures(&world.dispatch_tasks(&[id], now).await).is_empty());
    }
    assert!(world.workers().iter().all(|worker| worker.state == WorkerState::Gone));
    assert!(pool(&world).await.starting.is_empty());
    world.instances.no_capacity(false);
    let now = NOW + minutes(30);
    world.alter_task(&id, |task| task.seen_at = now).await;
    world.dispatch_tasks(&[id], now).await;
    assert_eq!(world.instances.launches(), 1);
}

#[tokio::test]
async fn nobody_who_waits_starts_nothing() {
    let world = World::new().await;
    let id = world.queued(TASK, MARA, NOW).await;
    world.dispatch_tasks(&[id], NOW + minutes(1)).await;
    assert_eq!(world.instances.launches(), 0, "its owner has not asked for a minute");
    world.alter_task(&id, |task| task.seen_at = NOW + minutes(61)).await;
    world.dispatch_tasks(&[id], NOW + minutes(61)).await;
    assert_eq!(world.instances.launches(), 0, "it has expired");
}

#[tokio::test]
async fn a_full_pool_grows_no_further() {
    let world = World::new().await;
    let mut full = pool(&world).await;
    full.max_workers = 1;
    world.put(full).await;
    world.ready(WORKER, INSTANCE, NOW - minutes(9)).await; // silent
    let id = world.queued(TASK, MARA, NOW).await;
    world.dispatch_tasks(&[id], NOW).await;
    assert_eq!(world.instances.launches(), 0);
}

/// EC2 that does not answer; what it was asked for may happen all the same.
#[derive(Debug)]
struct Broken {
    fleet: MemoryFleet,
    does_it: bool,
}

type Reply<'a, T> = cloud::BoxFuture<'a, Result<T, FleetError>>;

fn broken<T>(call: &'static str) -> Result<T, FleetError> {
    Err(CallError::passing(call, "it is broken").into())
}

impl FleetPort for Broken {
    fn describe(&self) -> Reply<'_, Vec<Instance>> {
        Box::pin(async { Ok(self.fleet.all()) })
    }
    fn describe_one<'a>(&'a self, _: &'a InstanceId) -> Reply<'a, Option<Instance>> {
        Box::pin(async { broken("DescribeInstances") })
    }
    fn launch<'a>(&'a self, worker: &'a WorkerId, pool: &'a PoolId, types: &'a [String]) -> Reply<'a, Instance> {
        Box::pin(async move {
            if self.does_it {
                self.fleet.launch(worker, pool, types).await?;
            }
            broken("CreateFleet")
        })
    }
    fn start<'a>(&'a self, _: &'a InstanceId) -> Reply<'a, ()> {
        Box::pin(async { broken("StartInstances") })
    }
    fn stop<'a>(&'a self, _: &'a InstanceId) -> Reply<'a, ()> {
        Box::pin(async { broken("StopInstances") })
    }
    fn terminate<'a>(&'a self, _: &'a InstanceId) -> Reply<'a, ()> {
        Box::pin(async { broken("TerminateInstances") })
    }
}

#[tokio::test]
async fn a_failing_ec2_gives_the_messages_of_that_pool_back() {
    let world = World::new().await;
    let id = world.queued(TASK, MARA, NOW).await;
    let app = dispatch::App {
        cloud: world.cloud.clone(),
        fleet: Fleet::new(Broken {
            fleet: world.instances.clone(),
            does_it: false,
        }),
        settings: world.settings.clone(),
    };
    let body = |pool: &str| json!({ "task_id": id, "pool": pool }).to_string();
    let event = sqs(&[body(POOL), "{".to_owned(), body("nobody"), body(POOL)]);
    let response = app.handle(&serde_json::from_value(event).unwrap(), NOW).await;
    assert_eq!(failures(&response), ["message-1", "message-4"]);
    let task = world.task(&id).await;
    assert_eq!((task.state, task.failures), (TaskState::Queued, 0));
    // The failing call is not repeated by every message.
    let event = sqs(&[body(POOL)]);
    let response = app
        .handle(&serde_json::from_value(event).unwrap(), NOW + seconds(5))
        .await;
    assert!(failures(&response).is_empty());
    assert!(pool(&world).await.starting.is_empty());
}

#[tokio::test]
async fn a_launch_whose_answer_was_an_error_does_not_leave_an_instance() {
    let world = World::new().await;
    let id = world.queued(TASK, MARA, NOW).await;
    let app = dispatch::App {
        cloud: world.cloud.clone(),
        fleet: Fleet::new(Broken {
            fleet: world.instances.clone(),
            does_it: true,
        }),
        settings: world.settings.clone(),
    };
    let event = sqs(&[json!({ "task_id": id, "pool": POOL }).to_string()]);
    app.handle(&serde_json::from_value(event).unwrap(), NOW).await;
    let [instance] = world.instances.all().try_into().unwrap();
    assert_eq!(instance.view.state, InstanceState::Up);
    assert!(world.workers().is_empty(), "a worker that never was is remembered");
    world.tick(NOW + seconds(50)).await;
    assert_eq!(world.power(instance.view.instance_id.as_str()), InstanceState::Gone);
}

#[test]
fn the_response_is_what_lambda_reads() {
    let mut response = SqsBatchResponse::default();
    response.add_failure("m");
    let text = serde_json::to_value(&response).unwrap();
    assert_eq!(text, json!({ "batchItemFailures": [{ "itemIdentifier": "m" }] }));
}
