//! What the tests of both state machines share.

#![allow(dead_code, reason = "each test file uses its share")]

use std::{collections::BTreeSet, time::Duration};

use model::{Lane, MicroUsd, Millis, PoolId, Task, TaskId, TaskState, TeamId, UserId, Worker, WorkerId};
use proptest::prelude::ProptestConfig;
use uuid::Uuid;

/// A failing case is printed; it belongs into a test of its own, not into a file beside this one.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// All that can be reached from here, itself included.
pub(crate) fn reachable(from: usize, next: impl Fn(usize) -> Vec<usize>) -> BTreeSet<usize> {
    let mut found = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        open.extend(next(at).into_iter().filter(|to| found.insert(*to)));
    }
    found
}

/// A fresh task.
pub(crate) fn task(now: Millis) -> Task {
    Task {
        task_id: TaskId::new(Uuid::from_u128(0x01a0_5cd7_2a00_7000_8000_0000_0000_00a1)),
        version: 1,
        owner: UserId::new("mara"),
        team: TeamId::new("studio"),
        pool: PoolId::new("default"),
        backlog: Some(PoolId::new("default")),
        start_tag: now.0,
        lane: Lane::Interactive,
        document: None,
        kind: None,
        state: TaskState::Queued,
        model: Some("dreamshaper_8.safetensors".to_owned()),
        work: 41.943_04,
        reserved: MicroUsd::default(),
        cost: MicroUsd::default(),
        created: now,
        expires_at: now + Duration::from_hours(1),
        seen_at: now,
        eta: None,
        run: None,
        cancel: None,
        failures: 0,
        preempted: 0,
        failed_on: None,
        unpaid_ms: 0,
        result: None,
        error: None,
        claimed_at: None,
        ended_at: None,
        times: None,
        last_run: None,
        unarchived: None,
        offer_at: None,
        archived_at: None,
        ttl: None,
        variant: None,
    }
}

/// A worker that is being launched.
pub(crate) fn worker(now: Millis) -> Worker {
    let id = WorkerId::new("w-01a05cd72a0070008000000000000001");
    Worker::launching(id, PoolId::new("default"), now)
}
