//! What is asked for, counted once for each task that is over.

use cloud::{
    Write,
    fault::{Fault, How},
    store::StorePort,
    tables::{DemandAt, DemandOf, Id},
};
use futures_util::future::join_all;
use model::{CancelCause, DemandCount, Millis, PoolId, Settings, Task, TaskId, TaskState, UserId};
use proptest::prelude::*;
use serde_json::json;
use tasks::demand::count;

use crate::support::{MARA, NOW, OTHER, POOL, TASK, World, golden, minutes, seconds};

fn id(number: u32) -> TaskId {
    format!("01a05cd7-2a00-7000-8000-{number:012}").parse().unwrap()
}

/// A task that was over after four seconds of a run.
async fn over(world: &World, number: u32, owner: &str, at: Millis) -> Task {
    let id = id(number);
    world.queued(&id.to_string(), owner, at).await;
    let mut task = world.task(&id).await;
    task.state = TaskState::Succeeded;
    task.backlog = None;
    task.model = Some("dreamshaper_8.safetensors".to_owned());
    task.claimed_at = Some(at + seconds(1));
    task.ended_at = Some(at + seconds(5));
    task
}

async fn counts(world: &World) -> Vec<DemandCount> {
    let pool = PoolId::new(POOL);
    world.cloud.store.list(DemandOf(&pool, 1000)).await.unwrap()
}

#[tokio::test]
async fn a_task_counts_once_in_the_five_minutes_in_which_it_was_submitted() {
    let world = World::new().await;
    let began = DemandCount::began(NOW);
    let mut tasks = Vec::new();
    for (number, owner, at) in [
        (1, MARA, began),
        (2, MARA, began + seconds(299)),
        (3, OTHER, began + seconds(1)),
        (4, MARA, began + seconds(300)),
    ] {
        tasks.push(over(&world, number, owner, at).await);
    }
    let now = NOW + minutes(10);
    let store = &world.cloud.store;
    // Late first, doubled in a batch, and the whole batch again, as after a failure of a part of it.
    let doubled = [&tasks[3], &tasks[0], &tasks[0], &tasks[2], &tasks[1]].map(Clone::clone);
    for _ in 0..2 {
        count(store, &doubled, now).await.unwrap();
    }
    for task in &tasks {
        count(store, std::slice::from_ref(task), now).await.unwrap();
    }
    let found = counts(&world).await;
    let told: Vec<_> = found
        .iter()
        .map(|it| (it.at, it.arrivals, it.gpu_ms, it.painters.len()))
        .collect();
    assert_eq!(told, [(began + minutes(5), 1, 4000, 1), (began, 3, 12_000, 2)]);
    assert_eq!(found[1].models["dreamshaper_8.safetensors"], 3);
    // Thirteen months.
    assert_eq!(found[1].ttl, (began + DemandCount::KEPT).seconds());
}

#[tokio::test]
async fn what_is_not_over_and_what_cannot_be_counts_nothing() {
    let world = World::new().await;
    let store = &world.cloud.store;
    let mut waiting = over(&world, 1, MARA, NOW).await;
    waiting.state = TaskState::Queued;
    let tomorrow = over(&world, 2, MARA, NOW + minutes(1440)).await;
    let long_ago = over(&world, 3, MARA, Millis(1)).await;
    count(store, &[waiting, tomorrow, long_ago], NOW).await.unwrap();
    assert_eq!(counts(&world).await, []);
    // A run that ended before it began took no time, and none takes longer than a day.
    let mut backwards = over(&world, 4, MARA, NOW).await;
    backwards.claimed_at = Some(NOW + minutes(60));
    let mut endless = over(&world, 5, MARA, NOW).await;
    (endless.claimed_at, endless.unpaid_ms) = (Some(Millis(0)), u64::MAX);
    count(store, &[backwards, endless], NOW).await.unwrap();
    let found = counts(&world).await;
    assert_eq!((found[0].arrivals, found[0].gpu_ms), (2, 24 * 3_600_000));
}

/// The stream's function counts what it writes a record of: once, though the change comes twice.
#[tokio::test]
async fn what_is_archived_is_counted() {
    let world = World::new().await;
    let task = world.queued(TASK, MARA, NOW - seconds(9)).await;
    world
        .alter_task(&task, |task| {
            task.cancel(CancelCause::User, NOW);
        })
        .await;
    for minute in 0..2 {
        let done = world.stream(golden("archive", "stream"), NOW + minutes(minute)).await;
        assert_eq!(done.failures, []);
    }
    let found = counts(&world).await;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].arrivals, found[0].gpu_ms), (1, 0));
}

/// Several shards of a stream at once, on tables that refuse writes at random.
#[tokio::test]
async fn who_counts_at_once_loses_nothing() {
    let world = World::unkind(11).await;
    let mut tasks = Vec::new();
    for number in 0..40 {
        tasks.push(over(&world, number, MARA, NOW).await);
    }
    let batches = tasks.chunks(10).chain(tasks.chunks(8));
    let all = batches.map(async |batch| {
        for _ in 0..200 {
            if count(&world.cloud.store, batch, NOW).await.is_ok() {
                return;
            }
        }
        panic!("a batch was never counted");
    });
    join_all(all).await;
    let found = counts(&world).await;
    assert_eq!(found.iter().map(|it| it.arrivals).sum::<u64>(), 40);
}

/// A write that failed, or of which nobody knows whether it was done, is made good when the record comes again.
#[tokio::test]
async fn a_failed_count_is_made_good_and_doubles_nothing() {
    for how in How::ALL {
        let world = World::watched(Settings::default()).await;
        let tasks = [over(&world, 1, MARA, NOW).await, over(&world, 2, OTHER, NOW).await];
        world.faults.plan(Fault {
            of: Some("store.commit"),
            at: 1,
            how,
        });
        let first = world.faults.run(count(&world.cloud.store, &tasks, NOW)).await;
        assert_eq!(first.is_none(), how == How::Crash);
        count(&world.cloud.store, &tasks, NOW).await.unwrap();
        assert_eq!(counts(&world).await[0].arrivals, 2, "{how:?}");
    }
}

/// Five minutes whose item is damaged keep nobody from counting others.
#[tokio::test]
async fn a_damaged_count_takes_no_other_along() {
    let world = World::new().await;
    let began = DemandCount::began(NOW);
    let tasks = [
        over(&world, 1, MARA, began).await,
        over(&world, 2, MARA, began + minutes(5)).await,
    ];
    count(&world.cloud.store, &tasks[..1], NOW + minutes(5)).await.unwrap();
    let key = DemandAt(PoolId::new(POOL), began).key();
    let mut item = StorePort::get(&world.memory, &key).await.unwrap().unwrap();
    item.insert("arrivals".to_owned(), json!(-3));
    let write = Write {
        key,
        expect: 1,
        item: Some(item),
    };
    StorePort::commit(&world.memory, &[write]).await.unwrap();
    count(&world.cloud.store, &tasks, NOW + minutes(5)).await.unwrap();
    let found = counts(&world).await;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].at, found[0].arrivals), (began + minutes(5), 1));
}

proptest! {
    /// However many painters and models there are, the item stays small, and no sum wraps.
    #[test]
    fn counts_stay_small(asked in prop::collection::vec((0_u32..2000, 0_u32..60, 0_u64..u64::MAX), 0..800)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let task = runtime.block_on(async { over(&World::new().await, 1, MARA, NOW).await });
        let mut count = DemandCount::new(&PoolId::new(POOL), NOW);
        for (painter, model, unpaid) in &asked {
            let mut task = task.clone();
            task.owner = UserId::new(format!("u{painter}"));
            task.model = Some(format!("m{model}"));
            task.unpaid_ms = *unpaid;
            policy::count::add(&mut count, &task);
        }
        prop_assert_eq!(count.arrivals, asked.len() as u64);
        prop_assert!(count.painters.len() <= 500 && count.models.len() <= 16);
        prop_assert!(serde_json::to_string(&count).unwrap().len() < 8_000);
        let day = policy::count::day(&[count.clone(), count], NOW.day_began());
        prop_assert_eq!(day.arrivals, 2 * asked.len() as u64);
    }
}
