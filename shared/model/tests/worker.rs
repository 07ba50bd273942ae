//! A worker's state machine: nothing leads out of `gone`, everything leads back to `ready`, no order of calls breaks it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::{collections::BTreeSet, time::Duration};

use common::{reachable, worker};
use model::{GpuUse, Millis, RunId, RunRef, TaskId, TeamId, Worker, WorkerState};
use proptest::prelude::*;
use uuid::Uuid;

fn edges(from: WorkerState) -> Vec<WorkerState> {
    WorkerState::ALL.into_iter().filter(|to| from.may_become(*to)).collect()
}

fn index(state: WorkerState) -> usize {
    WorkerState::ALL.iter().position(|it| *it == state).unwrap()
}

fn next(from: usize) -> Vec<usize> {
    edges(WorkerState::ALL[from]).into_iter().map(index).collect()
}

#[test]
fn nothing_leads_out_of_gone_and_everything_into_it() {
    for state in WorkerState::ALL {
        if state == WorkerState::Gone {
            assert!(edges(state).is_empty());
        } else {
            assert!(state.may_become(WorkerState::Gone), "EC2 ends what it likes: {state:?}");
            assert!(
                state.may_become(WorkerState::Stopped) || state == WorkerState::Stopped,
                "EC2 stops what it likes: {state:?}"
            );
        }
    }
}

#[test]
fn every_state_is_reached_and_every_worker_can_be_ready_again() {
    let all: BTreeSet<usize> = (0..WorkerState::ALL.len()).collect();
    assert_eq!(reachable(index(WorkerState::Launching), next), all);
    for state in all {
        let from_here = reachable(state, next);
        assert!(from_here.contains(&index(WorkerState::Gone)));
        let again = from_here.contains(&index(WorkerState::Ready));
        assert_eq!(again, WorkerState::ALL[state] != WorkerState::Gone);
    }
}

#[test]
fn only_a_ready_worker_becomes_busy_and_only_a_draining_or_failed_one_is_stopped() {
    for state in WorkerState::ALL {
        assert_eq!(state.may_become(WorkerState::Busy), state == WorkerState::Ready);
        let stops = matches!(state, WorkerState::Draining | WorkerState::Failed);
        assert_eq!(state.may_become(WorkerState::Stopping), stops, "{state:?}");
        assert_eq!(
            state.may_become(WorkerState::Starting),
            state == WorkerState::Stopped,
            "{state:?}"
        );
    }
}

#[test]
fn a_stop_once_committed_is_not_taken_back() {
    assert_eq!(edges(WorkerState::Stopping), [WorkerState::Stopped, WorkerState::Gone]);
}

#[test]
fn what_is_coming_is_up() {
    for state in WorkerState::ALL {
        assert!(state.is_up() || !state.is_coming(), "{state:?}");
    }
    assert!(!WorkerState::Stopped.is_up() && !WorkerState::Gone.is_up());
}

// ---------------------------------------------------------------- any order of calls

#[derive(Debug, Clone, Copy)]
enum Call {
    Become(WorkerState),
    Start(u8),
    Release(u8),
    Lose(u8),
    Heard,
}

fn held(number: u8) -> RunRef {
    let uuid = Uuid::from_u128(u128::from(number));
    RunRef {
        task_id: TaskId::new(uuid),
        run_id: RunId::new(uuid),
    }
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        4 => (0..WorkerState::ALL.len()).prop_map(|at| Call::Become(WorkerState::ALL[at])),
        2 => (0_u8..3).prop_map(Call::Start),
        2 => (0_u8..3).prop_map(Call::Release),
        2 => (0_u8..3).prop_map(Call::Lose),
        1 => Just(Call::Heard),
    ]
}

proptest! {
    #![proptest_config(common::cases(600))]

    #[test]
    fn no_order_of_calls_breaks_a_worker(calls in proptest::collection::vec(call(), 0..60)) {
        let mut worker = worker(Millis(1000));
        for (call, number) in calls.into_iter().zip(1..) {
            let now = Millis(1000 + number);
            let before = worker.clone();
            let yes = match call {
                // A run that goes with the state is dropped by whoever moves the worker.
                Call::Become(to) => worker.run.is_none() && worker.become_state(to, now).is_ok() && {
                    if to == WorkerState::Busy {
                        worker.run = Some(held(0));
                    }
                    true
                },
                Call::Start(number) => worker.start(held(number), now).is_ok(),
                Call::Release(number) => {
                    worker.release(held(number).run_id, now);
                    before.run == Some(held(number))
                }
                Call::Lose(number) => {
                    worker.lose(held(number).run_id, now);
                    prop_assert!(worker == before || worker.silent_since == Some(now));
                    before.run == Some(held(number))
                }
                Call::Heard => {
                    worker.heard(now);
                    prop_assert!(worker.answers(Duration::from_millis(1), now));
                    prop_assert!(!worker.answers(Duration::from_millis(1), now + Duration::from_millis(1)));
                    true
                }
            };
            if !yes {
                prop_assert_eq!(&worker, &before, "a call that says no changes nothing: {:?}", call);
            }
            prop_assert!(worker.state == before.state || before.state.may_become(worker.state));
            prop_assert!(worker.generation >= before.generation);
            prop_assert_eq!(worker.run.is_some(), worker.state == WorkerState::Busy);
            prop_assert!(worker.idle_since.is_none() || worker.state.is_up() && worker.run.is_none());
            let taken_back = (before.state, worker.state) == (WorkerState::Draining, WorkerState::Ready);
            let kept = worker.idle_since == before.idle_since || worker.idle_since.is_none() || before.idle_since.is_none();
            prop_assert!(kept || taken_back, "{before:?} {worker:?}");
            prop_assert!(worker.idle_since.is_some() || worker.state != WorkerState::Ready);
            prop_assert_eq!(worker.state_since == now, worker.state != before.state);
            if worker.silent_since.is_some() {
                prop_assert!(!worker.answers(Duration::MAX, now), "whoever is silent does not answer");
                let off = matches!(worker.state, WorkerState::Stopped | WorkerState::Gone | WorkerState::Starting);
                prop_assert!(!off, "a machine that was off begins anew");
            }
            if worker.state == WorkerState::Starting && before.state != WorkerState::Starting {
                prop_assert_eq!(worker.generation, before.generation + 1, "tokens from before the stop are void");
            }
            prop_assert_eq!(worker.ttl.is_some(), worker.state == WorkerState::Gone, "only what is no more goes away");
            if worker.state == WorkerState::Ready {
                prop_assert!(worker.failures == 0 || before.state == WorkerState::Ready);
            }
            if worker.state == WorkerState::Failed && before.state != WorkerState::Failed {
                prop_assert_eq!(worker.failures, before.failures + 1);
            }
            if matches!(worker.state, WorkerState::Stopped | WorkerState::Gone) {
                prop_assert!(worker.connection.is_none() && worker.gpu.is_none() && worker.models.is_empty());
            }
            let text = serde_json::to_string(&worker).unwrap();
            prop_assert_eq!(serde_json::from_str::<Worker>(&text).unwrap(), worker.clone());
        }
    }
}

#[test]
fn beginning_again_while_warming_up_gives_no_more_time() {
    let mut worker = worker(Millis(0));
    worker.become_state(WorkerState::Warming, Millis(10)).unwrap();
    worker.become_state(WorkerState::Warming, Millis(500)).unwrap();
    assert_eq!(worker.state_since, Millis(10));
    worker.become_state(WorkerState::Ready, Millis(600)).unwrap();
    worker.become_state(WorkerState::Warming, Millis(700)).unwrap();
    assert_eq!(worker.state_since, Millis(700));
}

#[test]
fn a_draining_worker_that_lets_go_stays_draining() {
    let mut worker = worker(Millis(0));
    worker.become_state(WorkerState::Warming, Millis(1)).unwrap();
    worker.become_state(WorkerState::Ready, Millis(2)).unwrap();
    worker.start(held(1), Millis(3)).unwrap();
    worker.become_state(WorkerState::Draining, Millis(4)).unwrap();
    worker.release(held(2).run_id, Millis(5));
    assert_eq!(worker.run, Some(held(1)));
    worker.release(held(1).run_id, Millis(6));
    assert_eq!(
        (worker.state, worker.run, worker.idle_since),
        (WorkerState::Draining, None, Some(Millis(6)))
    );
}

#[test]
fn a_worker_that_lost_its_run_by_silence_is_ready_again_once_it_is_heard_of() {
    let silent = Duration::from_secs(90);
    let mut worker = worker(Millis(0));
    worker.become_state(WorkerState::Warming, Millis(1)).unwrap();
    worker.become_state(WorkerState::Ready, Millis(2)).unwrap();
    worker.start(held(1), Millis(3)).unwrap();
    worker.lose(held(2).run_id, Millis(4));
    assert!(worker.answers(silent, Millis(4)), "another's run is not its own");
    worker.lose(held(1).run_id, Millis(5));
    assert_eq!((worker.state, worker.run), (WorkerState::Ready, None));
    assert!(!worker.answers(silent, Millis(5)));
    worker.heard(Millis(6));
    assert!(worker.answers(silent, Millis(6)));
}

#[test]
fn the_item() {
    let mut worker = worker(Millis(1_788_264_000_000));
    insta::assert_json_snapshot!("worker-launching", worker);
    worker.become_state(WorkerState::Warming, worker.last_seen).unwrap();
    worker.become_state(WorkerState::Ready, worker.last_seen).unwrap();
    worker
        .start(held(1), worker.last_seen + Duration::from_secs(1))
        .unwrap();
    worker.generation = 3;
    worker.instance_id = Some(model::InstanceId::new("i-0a1b2c3d4e5f60718"));
    worker.instance_type = Some("g6.xlarge".to_owned());
    worker.connection = Some(model::ConnectionId::new("fJ8yQeV1IAMCHnw="));
    worker.gpu = Some(GpuUse {
        percent: Some(98),
        vram_used_mib: Some(5120),
        vram_total_mib: Some(24_576),
    });
    worker.models = vec!["dreamshaper_8.safetensors".to_owned()];
    worker.team = Some(TeamId::new("studio"));
    worker.proof_date = 1_788_263_998;
    worker.image = Some("ami-0fedcba9876543210".to_owned());
    insta::assert_json_snapshot!("worker-busy", worker);
    // Every heartbeat writes it whole, and the index with it.
    let size = serde_json::to_string(&worker).unwrap().len();
    assert!(size < 1024, "{size} bytes");
}
