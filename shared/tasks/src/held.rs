//! Keeping a call open until a task is where its caller wants it.

use std::time::Duration;

use cloud::{Store, StoreError, Write, chain, tables::OpenCallAt};
use futures_util::future::try_join_all;
use model::{Millis, OpenCall, Settings, Task};
use policy::hold;
use tokio::time::{Instant, sleep};
use tracing::info;

/// Between two looks: the error of what is seen, paid with a read each.
const LOOK: Duration = Duration::from_millis(50);

/// The task as it was last seen: `wanted`, if that comes within `time` and there is a place for an open call.
pub async fn until(
    store: &Store,
    settings: &Settings,
    task: Task,
    time: Duration,
    now: Millis,
    wanted: impl Fn(&Task) -> bool,
) -> Task {
    if time < LOOK {
        return task;
    }
    let end = Instant::now() + time;
    // The place is taken while nothing could be seen anyway.
    let (place, ()) = tokio::join!(take(store, settings, &task, now + time, now), sleep(LOOK));
    let Some(place) = place else { return task };
    let seen = look(store, task, end, wanted).await;
    give(store, place).await;
    seen
}

async fn look(store: &Store, mut task: Task, end: Instant, wanted: impl Fn(&Task) -> bool) -> Task {
    loop {
        // A look that fails ends the wait and not the call: the next poll looks again.
        match store.get(&task.task_id).await {
            Ok(Some(seen)) => task = seen,
            Ok(None) | Err(_) => return task,
        }
        if wanted(&task) || Instant::now() + LOOK > end {
            return task;
        }
        sleep(LOOK).await;
    }
}

/// Takes a place, if its owner finds one that is free and no other call waits for the same task.
async fn take(store: &Store, settings: &Settings, task: &Task, until: Millis, now: Millis) -> Option<OpenCall> {
    let taken: Result<_, StoreError> = async {
        let places = hold::places(&task.owner, settings).map(async |place| {
            let found = store.get(&OpenCallAt(place)).await?;
            Ok::<_, StoreError>((place, found))
        });
        let places = try_join_all(places).await?;
        let open = |found: &Option<OpenCall>| found.as_ref().is_some_and(|call| now < call.until);
        let same = |found: &OpenCall| found.task == task.task_id && now < found.until;
        if places.iter().any(|(_, found)| found.as_ref().is_some_and(same)) {
            return Ok(None);
        }
        let Some((place, found)) = places.into_iter().find(|(_, found)| !open(found)) else {
            return Ok(None);
        };
        let mut call = OpenCall {
            place,
            version: found.map_or(0, |call| call.version),
            task: task.task_id,
            until,
            ttl: (until + LOOK).seconds(),
        };
        store.commit([Write::put(&mut call)?]).await?;
        Ok(Some(call))
    }
    .await;
    taken.unwrap_or_else(|error| {
        info!(error = chain(&error), "no place for an open call was taken");
        None
    })
}

/// Gives the place back. If that fails, time does.
async fn give(store: &Store, mut call: OpenCall) {
    call.until = Millis(0);
    let given = async { store.commit([Write::put(&mut call)?]).await };
    if let Err(error) = given.await {
        info!(error = chain(&error), "the place of an open call was not given back");
    }
}
