//! `idle-reaper`: drain, look again, stop; never against a claim.

use cloud::fault::{Fault, How};
use model::{ConnectionId, GpuUse, Millis, TaskState, WorkerState};
use policy::watch::InstanceState;
use serde_json::json;
use tasks::runs;

use crate::{
    golden::{unknown, walk},
    support::{
        INSTANCE, MARA, NOW, TASK, WORKER, WORKER_2, World, instance_id, minutes, seconds, sqs, task_id, thorough,
        worker_id,
    },
};

const fn gpu(percent: u32) -> GpuUse {
    GpuUse {
        percent: Some(percent),
        vram_used_mib: None,
        vram_total_mib: None,
    }
}

#[tokio::test]
async fn golden_events() {
    walk("idle-reaper", async |name, event| {
        let world = World::new().await;
        match name {
            "tick" => assert_eq!(event["detail-type"], "Scheduled Event"),
            other => unknown(other),
        }
        world.ready(WORKER, INSTANCE, NOW - minutes(31)).await;
        world
            .alter_worker(WORKER, |worker| worker.connection = Some(ConnectionId::new("s")))
            .await;
        world.reap(NOW).await;
        world.effects()
    })
    .await;
}

async fn idle(world: &World, since: Millis) {
    world.ready(WORKER, INSTANCE, since).await;
    world
        .alter_worker(WORKER, |worker| worker.connection = Some(ConnectionId::new("s")))
        .await;
}

async fn state(world: &World) -> WorkerState {
    world.worker(WORKER).await.state
}

#[tokio::test]
async fn an_idle_worker_drains_then_stops() {
    let world = World::new().await;
    idle(&world, NOW).await;
    // So early that the second look falls on the ten minutes after which it stops where nobody shows presence.
    world.reap(NOW + minutes(9) - seconds(1)).await;
    assert_eq!(state(&world).await, WorkerState::Ready);
    let drained = NOW + minutes(9);
    // The same tick twice, and one that comes early: the second look is a later one.
    for later in [0, 0, 49] {
        world.reap(drained + seconds(later)).await;
        assert_eq!(state(&world).await, WorkerState::Draining);
        assert_eq!(world.power(INSTANCE), InstanceState::Up);
    }
    assert_eq!(world.sent(), [("s".to_owned(), json!({ "event": "drain" }))]);
    for later in [60, 60, 120] {
        world.reap(drained + seconds(later)).await;
        assert_eq!(state(&world).await, WorkerState::Stopping);
        assert_eq!(world.power(INSTANCE), InstanceState::Stopping);
    }
}

/// Between two looks somebody asks: the worker takes the picture without a start, and is told at once.
#[tokio::test]
async fn a_worker_that_drains_is_taken_back_and_works_at_once() {
    let world = World::new().await;
    idle(&world, NOW).await;
    let drained = NOW + minutes(9);
    world.reap(drained).await;
    let worker = world.worker(WORKER).await;
    assert_eq!(worker.state, WorkerState::Draining);
    assert!(world.claimed(&worker, drained + seconds(1)).await.is_none());
    world
        .alter_worker(WORKER, |worker| worker.heard(drained + seconds(2)))
        .await;
    world.sent();
    world.take_queued();
    let task = world.submitted(drained + seconds(3)).await;
    let queued: Vec<_> = world
        .take_queued()
        .iter()
        .map(|it| serde_json::to_string(it).unwrap())
        .collect();
    let done = world.dispatch(sqs(&queued), drained + seconds(3)).await;
    assert!(done.batch_item_failures.is_empty());
    assert_eq!(
        state(&world).await,
        WorkerState::Ready,
        "taken back by the submit, not by the next tick"
    );
    let woken = world.sent();
    assert!(
        woken.iter().any(|(to, what)| to == "s" && what["event"] == "wake"),
        "{woken:?}"
    );
    let run = world
        .claimed(&world.worker(WORKER).await, drained + seconds(4))
        .await
        .unwrap();
    assert_eq!(run.task_id, task);
    assert_eq!(world.instances.all().len(), 1, "nothing was launched");
}

/// A list of pools that cannot be read leaves no machine running for nothing.
#[tokio::test]
async fn without_the_list_of_pools_those_of_running_machines_are_looked_after() {
    let world = World::watched(model::Settings::default()).await;
    idle(&world, NOW).await;
    let fail = || Fault {
        of: Some("store.get"),
        at: 1,
        how: How::Fail,
    };
    world.faults.plan(fail());
    assert!(
        world.try_reap(NOW + minutes(9)).await.is_err(),
        "it is said all the same"
    );
    assert_eq!(state(&world).await, WorkerState::Draining);
    world.faults.plan(fail());
    assert!(world.try_reap(NOW + minutes(10)).await.is_err());
    assert_eq!(state(&world).await, WorkerState::Stopping);
    // The same of `lifecycle`, which sees that EC2 has stopped it.
    world.instances.set(&instance_id(), InstanceState::Stopped);
    world.faults.plan(fail());
    let tick = world
        .lifecycle(crate::support::golden("lifecycle", "tick"), NOW + minutes(11))
        .await;
    assert!(tick.is_err());
    assert_eq!(state(&world).await, WorkerState::Stopped);
}

#[tokio::test]
async fn a_gpu_that_works_keeps_its_worker() {
    let world = World::new().await;
    idle(&world, NOW).await;
    let with = async |percent: Option<u32>, now: Millis| {
        world.alter_worker(WORKER, |worker| worker.gpu = percent.map(gpu)).await;
        world.reap(now).await;
        state(&world).await
    };
    let late = NOW + minutes(40);
    assert_eq!(with(Some(5), late).await, WorkerState::Ready);
    assert_eq!(with(Some(100), late).await, WorkerState::Ready);
    assert_eq!(with(Some(4), late).await, WorkerState::Draining);
    // Between the two looks somebody uses it by hand.
    assert_eq!(with(Some(50), late + minutes(1)).await, WorkerState::Ready);
    // What nobody measures is quiet.
    let later = late + minutes(40);
    assert_eq!(with(None, later).await, WorkerState::Draining);
    assert_eq!(with(None, later + minutes(1)).await, WorkerState::Stopping);
}

#[tokio::test]
async fn work_that_arrives_between_the_looks_keeps_the_worker() {
    let world = World::new().await;
    idle(&world, NOW).await;
    let drained = NOW + minutes(30);
    world.reap(drained).await;
    world.queued(TASK, MARA, drained + seconds(30)).await;
    world.sent();
    world.reap(drained + minutes(1)).await;
    assert_eq!(state(&world).await, WorkerState::Ready);
    assert_eq!(world.sent()[0].1["event"], "wake");
    assert_eq!(world.power(INSTANCE), InstanceState::Up);
    // It counts as idle from now on.
    world
        .alter_task(&task_id(), |task| {
            task.cancel(model::CancelCause::User, NOW);
        })
        .await;
    world.reap(drained + minutes(2)).await;
    assert_eq!(state(&world).await, WorkerState::Ready);
}

#[tokio::test]
async fn a_task_that_nobody_waits_for_keeps_nothing_up() {
    let world = World::new().await;
    idle(&world, NOW).await;
    world.queued(TASK, MARA, NOW).await;
    let drained = NOW + minutes(30);
    world.reap(drained).await;
    assert_eq!(state(&world).await, WorkerState::Draining);
    world.reap(drained + minutes(1)).await;
    assert_eq!(state(&world).await, WorkerState::Stopping);
}

#[tokio::test]
async fn busy_and_silent_workers_are_not_the_reapers() {
    let world = World::new().await;
    world.running(NOW).await;
    for state_now in [
        WorkerState::Busy,
        WorkerState::Launching,
        WorkerState::Booting,
        WorkerState::Warming,
        WorkerState::Stopping,
        WorkerState::Stopped,
        WorkerState::Starting,
        WorkerState::Failed,
        WorkerState::Gone,
    ] {
        world
            .alter_worker(WORKER, |worker| {
                worker.state = state_now;
                worker.idle_since = Some(NOW);
            })
            .await;
        world.reap(NOW + minutes(120)).await;
        assert_eq!(state(&world).await, state_now);
        assert_eq!(world.power(INSTANCE), InstanceState::Up);
    }
}

/// Claims the golden task for the golden worker just before the reaper's first commit about it.
async fn claim_in_between(world: &World, now: Millis) {
    world.queued(TASK, MARA, now).await;
    let cloud = world.memory.cloud();
    let settings = world.settings.clone();
    world.port.before_commit(
        |writes| writes.iter().any(|write| write.key.partition == WORKER),
        async move || {
            let worker = cloud.store.get(&worker_id()).await.unwrap().unwrap();
            let claimed = runs::claim(&cloud, &settings, &worker, task_id(), now).await.unwrap();
            assert!(claimed.is_some());
        },
    );
}

#[tokio::test]
async fn a_claim_between_plan_and_commit_is_never_drained() {
    let world = World::new().await;
    idle(&world, NOW).await;
    let now = NOW + minutes(30);
    // The plan must not know of the task yet.
    claim_in_between(&world, now).await;
    world.alter_task(&task_id(), |task| task.seen_at = NOW).await;
    world.reap(now).await;
    assert!(world.port.hook_is_spent());
    let worker = world.worker(WORKER).await;
    assert_eq!(worker.state, WorkerState::Busy);
    assert_eq!(worker.run.unwrap().task_id, task_id());
    assert_eq!(world.power(INSTANCE), InstanceState::Up);
    world.reap(now + minutes(1)).await;
    assert_eq!(state(&world).await, WorkerState::Busy);
}

#[tokio::test]
async fn a_worker_that_was_needed_between_plan_and_commit_is_never_stopped() {
    let world = World::new().await;
    idle(&world, NOW).await;
    let drained = NOW + minutes(30);
    world.reap(drained).await;
    let now = drained + minutes(1);
    world.queued(TASK, MARA, NOW).await;
    let cloud = world.memory.cloud();
    let settings = world.settings.clone();
    world.port.before_commit(
        |writes| writes.iter().any(|write| write.key.partition == WORKER),
        async move || {
            // A planner lets it go on, and it claims at once.
            let ready = runs::move_worker(&cloud, &worker_id(), WorkerState::Ready, now, |_| true).await;
            let worker = ready.unwrap().unwrap();
            let claimed = runs::claim(&cloud, &settings, &worker, task_id(), now).await.unwrap();
            assert!(claimed.is_some());
        },
    );
    world.reap(now).await;
    assert!(world.port.hook_is_spent());
    assert_eq!(state(&world).await, WorkerState::Busy);
    assert_eq!(world.power(INSTANCE), InstanceState::Up);
    assert_eq!(world.task(&task_id()).await.state, TaskState::Running);
}

#[tokio::test]
async fn drains_and_claims_at_once_have_one_winner() {
    let (mut claimed, mut drained) = (0, 0);
    for seed in 0..if thorough() { 150 } else { 50 } {
        let world = World::unkind(seed).await;
        idle(&world, NOW).await;
        let other = world.ready(WORKER_2, "i-2", NOW + minutes(30)).await;
        let now = NOW + minutes(30);
        world.queued(TASK, MARA, now).await;
        world.alter_task(&task_id(), |task| task.seen_at = NOW).await;
        let worker = world.worker(WORKER).await;
        world.port.dawdle(seed);
        let (mine, theirs, (), ()) = tokio::join!(
            world.claimed(&worker, now),
            world.claimed(&other, now),
            world.reap(now),
            async {
                tokio::task::yield_now().await;
                world.reap(now + minutes(1)).await;
            }
        );
        let worker = world.worker(WORKER).await;
        match mine {
            Some(run) => {
                claimed += 1;
                assert!(theirs.is_none(), "seed {seed}");
                assert_eq!(worker.run.unwrap().run_id, run.run_id, "seed {seed}");
                assert_eq!(
                    worker.state,
                    WorkerState::Busy,
                    "seed {seed}: a claimed worker was drained"
                );
                assert_eq!(world.power(INSTANCE), InstanceState::Up, "seed {seed}");
            }
            None => assert!(worker.run.is_none(), "seed {seed}"),
        }
        drained += u32::from(worker.state != WorkerState::Busy && worker.state != WorkerState::Ready);
    }
    assert!(claimed > 5 && drained > 5, "both must happen: {claimed} {drained}");
}

#[tokio::test]
async fn an_instance_that_was_not_stopped_is_stopped_by_the_tick() {
    let world = World::new().await;
    idle(&world, NOW).await;
    world.reap(NOW + minutes(30)).await;
    world.reap(NOW + minutes(31)).await;
    world.instance(INSTANCE, WORKER, InstanceState::Up);
    world.tick(NOW + minutes(32)).await;
    assert_eq!(world.power(INSTANCE), InstanceState::Stopping);
}
