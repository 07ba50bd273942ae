use model::{Pace, PoolId};

use super::*;
use crate::{
    StoreError, Write,
    memory::{Memory, Unkind},
    queue::Queued,
    tables::{PaceOf, WorkersOf},
};

fn pool() -> PoolId {
    PoolId::new("p")
}

fn watched() -> (Faults, Memory, Cloud) {
    let (faults, memory) = (Faults::default(), Memory::new(Unkind::NOT));
    let cloud = faults.cloud(&memory.cloud());
    (faults, memory, cloud)
}

async fn note(cloud: &Cloud) -> Result<(), StoreError> {
    let found = cloud.store.get(&PaceOf(pool())).await?;
    let mut pace = found.unwrap_or_else(|| Pace::new(pool()));
    cloud.store.commit([Write::put(&mut pace)?]).await
}

async fn hint(cloud: &Cloud) {
    let message = Queued {
        task_id: None,
        pool: pool(),
    };
    let _ = cloud.queue.send(&message).await;
}

fn version(memory: &Memory) -> Option<u64> {
    memory.items().first().and_then(|(_, item)| item["version"].as_u64())
}

#[tokio::test]
async fn calls_are_named_in_order_and_depth_is_the_longest_chain() {
    let (faults, _, cloud) = watched();
    note(&cloud).await.unwrap();
    cloud.bucket.put("k", "text".to_owned()).await.unwrap();
    cloud
        .models
        .presign_get("k", std::time::Duration::from_mins(1))
        .await
        .unwrap();
    let calls = faults.take();
    let names: Vec<_> = calls.iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "store.get Pools",
            "store.commit [Pools]",
            "bucket.put k",
            "models.presign_get k"
        ]
    );
    // A URL costs no time.
    assert_eq!(depth(&calls), 3);

    // Three beside each other, of which one is a chain of two, and one after them.
    let (pace, pool) = (PaceOf(pool()), pool());
    let three = async { tokio::join!(cloud.store.list(WorkersOf(&pool)), note(&cloud), hint(&cloud)) };
    three.await.1.unwrap();
    cloud.store.get(&pace).await.unwrap();
    let calls = faults.take();
    assert_eq!((calls.len(), depth(&calls)), (5, 3));
    assert!(faults.take().is_empty());
    assert_eq!(depth(&[]), 0);
}

#[tokio::test]
async fn the_kth_call_goes_wrong_and_no_other() {
    let how = |how| Fault {
        of: Some("store.commit"),
        at: 2,
        how,
    };
    let wanted = [
        (How::Fail, false, 2),
        (How::LostAnswer, false, 3),
        // The second of the two finds what the first has written.
        (How::Twice, false, 3),
    ];
    for (fault, second, versions) in wanted {
        let (faults, memory, cloud) = watched();
        faults.plan(how(fault));
        note(&cloud).await.unwrap();
        assert!(!faults.happened());
        let error = note(&cloud).await.expect_err("the second commit goes wrong");
        assert!(error.is_retryable() && !second, "{fault:?}: {error}");
        assert!(faults.happened());
        note(&cloud).await.unwrap();
        assert_eq!(version(&memory), Some(versions), "{fault:?}");
        assert_eq!(faults.take().len(), 6);
    }
    let (faults, memory, cloud) = watched();
    for (fault, messages) in [(How::Fail, 0), (How::LostAnswer, 1), (How::Twice, 2)] {
        faults.plan(Fault {
            of: None,
            at: 1,
            how: fault,
        });
        hint(&cloud).await;
        assert_eq!(memory.take_queued().len(), messages, "{fault:?}");
    }
}

#[tokio::test]
async fn a_transaction_is_not_done_twice() {
    let (faults, memory, cloud) = watched();
    faults.plan(Fault {
        of: None,
        at: 1,
        how: How::Twice,
    });
    let (mut one, mut other) = (Pace::new(pool()), Pace::new(PoolId::new("q")));
    let writes = [Write::put(&mut one).unwrap(), Write::put(&mut other).unwrap()];
    cloud.store.commit(writes).await.unwrap();
    assert_eq!((memory.items().len(), version(&memory)), (2, Some(1)));
}

#[tokio::test]
async fn a_crash_is_the_last_thing_that_a_function_does() {
    let (faults, memory, cloud) = watched();
    // The get, the message and the commit begin in this order.
    let function = || async {
        let both = tokio::join!(note(&cloud), hint(&cloud));
        both.0
    };
    for (at, messages, versions) in [(1, 0, None), (2, 0, None), (3, 1, None), (4, 1, Some(1))] {
        faults.plan(Fault {
            of: None,
            at,
            how: How::Crash,
        });
        assert_eq!(faults.run(function()).await.is_none(), at <= 3, "{at}");
        assert_eq!(
            (memory.take_queued().len(), version(&memory)),
            (messages, versions),
            "{at}"
        );
    }
    // Nothing is planned for the next one.
    faults.take();
    assert!(faults.run(function()).await.is_some_and(|done| done.is_ok()));
    assert_eq!(version(&memory), Some(2));
}
