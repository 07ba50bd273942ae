//! A task's state machine: no way leads nowhere, none leads back from the end, and no order of calls breaks it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::collections::BTreeSet;

use common::{reachable, task};
use model::{
    CancelCause, Canceled, Failure, FailureClass, Millis, Outcome, Run, RunEnd, RunId, RunTimes, Task, TaskResult,
    TaskState, TransitionError, WorkerId,
};
use proptest::prelude::*;
use uuid::Uuid;

fn edges(from: TaskState) -> Vec<TaskState> {
    TaskState::ALL.into_iter().filter(|to| from.may_become(*to)).collect()
}

#[test]
fn no_edge_leads_out_of_a_terminal_state() {
    for state in TaskState::ALL {
        assert_eq!(edges(state).is_empty(), state.is_terminal(), "{state:?}");
    }
}

#[test]
fn every_state_is_reached_and_can_end() {
    let index = |state: TaskState| TaskState::ALL.iter().position(|it| *it == state).unwrap();
    let next = |from: usize| edges(TaskState::ALL[from]).into_iter().map(index).collect();
    let all: BTreeSet<usize> = (0..TaskState::ALL.len()).collect();
    assert_eq!(reachable(index(TaskState::Queued), next), all);
    for state in all {
        let ends = reachable(state, next)
            .into_iter()
            .any(|it| TaskState::ALL[it].is_terminal());
        assert!(ends, "{:?} can never end", TaskState::ALL[state]);
    }
}

#[test]
fn no_state_becomes_itself() {
    for state in TaskState::ALL {
        assert!(!state.may_become(state), "{state:?}");
    }
}

// ---------------------------------------------------------------- any order of calls

/// Runs are few, so that calls about an earlier run are common.
const RUNS: u8 = 4;

fn run_id(number: u8) -> RunId {
    RunId::new(Uuid::from_u128(u128::from(number)))
}

fn run(number: u8, now: Millis) -> Run {
    Run {
        run_id: run_id(number),
        worker_id: WorkerId::new(format!("w-{number}")),
        claimed_at: now,
        generation: Some(1),
        lease_until: now,
        deadline: now,
        seq: 0,
        progress: 0.0,
    }
}

#[derive(Debug, Clone)]
enum Call {
    Start(u8),
    Progress(u8, u64, f32),
    End(u8, Outcome),
    Cancel(CancelCause),
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let class = prop_oneof![
        Just(FailureClass::User),
        Just(FailureClass::Infrastructure),
        Just(FailureClass::Capacity)
    ];
    prop_oneof![
        proptest::collection::vec(0_u64..1000, 1..4).prop_map(|offsets| {
            let result = TaskResult {
                key: "results/x".to_owned(),
                offsets,
                size: 1000,
                lora_warning: false,
                pose: None,
                ..TaskResult::default()
            };
            Outcome::Succeeded(result, RunTimes::default())
        }),
        (class, ".{0,400}").prop_map(|(class, message)| Outcome::Failed(Failure::new(class, message))),
        Just(Outcome::Interrupted),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        4 => (0..RUNS).prop_map(Call::Start),
        2 => (0..RUNS, 0_u64..10, any::<f32>()).prop_map(|(run, seq, value)| Call::Progress(run, seq, value)),
        4 => (0..RUNS, outcome()).prop_map(|(run, outcome)| Call::End(run, outcome)),
        1 => prop_oneof![Just(CancelCause::User), Just(CancelCause::Expired)].prop_map(Call::Cancel),
    ]
}

/// Whether the call said yes.
fn apply(task: &mut Task, call: &Call, now: Millis) -> bool {
    match call.clone() {
        Call::Start(number) => task.start(run(number, now)).is_ok(),
        Call::Progress(number, seq, value) => task.take_progress(run_id(number), seq, value) == Ok(true),
        Call::End(number, outcome) => task.end_run(run_id(number), outcome, now).is_ok(),
        Call::Cancel(cause) => task.cancel(cause, now) != Canceled::Already,
    }
}

fn check(task: &Task) {
    let held = matches!(task.state, TaskState::Running | TaskState::Canceling);
    assert_eq!(task.backlog.is_some(), task.state == TaskState::Queued, "{task:?}");
    assert_eq!(task.run.is_some(), held, "{task:?}");
    assert_eq!(task.result.is_some(), task.state == TaskState::Succeeded, "{task:?}");
    assert_eq!(task.times.is_some(), task.result.is_some(), "{task:?}");
    assert_eq!(task.ended_at.is_some(), task.state.is_terminal(), "{task:?}");
    let waits = task
        .unarchived
        .as_deref()
        .is_some_and(|part| Task::PARTS.contains(&part));
    assert_eq!(waits, task.state.is_terminal(), "{task:?}");
    assert_eq!(task.offer_at.is_some(), waits, "{task:?}");
    assert!(task.last_run.is_none() || task.state.is_terminal(), "{task:?}");
    assert!(task.result.is_none() || task.last_run.is_some(), "{task:?}");
    assert!((0.0..=1.0).contains(&task.progress()), "{task:?}");
    assert!(task.failures <= Task::MAX_FAILURES, "{task:?}");
    if task.state == TaskState::Canceling {
        assert!(task.cancel.is_some(), "{task:?}");
    }
    if task.state == TaskState::Failed {
        assert!(task.error.is_some(), "{task:?}");
    }
    if task.state == TaskState::Succeeded {
        assert!(task.error.is_none(), "{task:?}");
    }
}

/// What no transition may touch.
fn fixed(task: &Task) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        (task.task_id, task.owner.clone(), task.team.clone(), task.pool.clone()),
        (task.start_tag, task.lane, task.created, task.expires_at, task.version),
    )
}

proptest! {
    #![proptest_config(common::cases(600))]

    #[test]
    fn no_order_of_calls_breaks_a_task(calls in proptest::collection::vec(call(), 0..40)) {
        let mut task = task(Millis(1000));
        check(&task);
        for (call, number) in calls.iter().zip(1..) {
            let before = task.clone();
            let yes = apply(&mut task, call, Millis(1000 + number));
            check(&task);
            prop_assert_eq!(fixed(&task), fixed(&before));
            prop_assert!(task.state == before.state || before.state.may_become(task.state));
            if !yes {
                prop_assert_eq!(&task, &before, "a call that says no changes nothing: {:?}", call);
            }
            if before.state.is_terminal() {
                prop_assert_eq!(&task, &before, "what is over stays as it is: {:?}", call);
            }
            if let (Some(old), Some(new)) = (&before.run, &task.run) {
                prop_assert_eq!(old.run_id, new.run_id);
                prop_assert!(old.seq <= new.seq);
            }
            if let Call::End(number, _) = call && yes {
                prop_assert_eq!(before.run.unwrap().run_id, run_id(*number), "only its own run ends a task's run");
            }
        }
    }

    #[test]
    fn whatever_happened_a_task_can_end(calls in proptest::collection::vec(call(), 0..40)) {
        let mut task = task(Millis(1000));
        for call in &calls {
            apply(&mut task, call, Millis(2000));
        }
        task.cancel(CancelCause::Expired, Millis(3000));
        if let Some(run) = task.run.clone() {
            // Whatever its worker says.
            let lost = Outcome::Failed(Failure::new(FailureClass::Infrastructure, "lost"));
            prop_assert_eq!(task.end_run(run.run_id, lost, Millis(4000)), Ok(RunEnd::Ended));
        }
        prop_assert!(task.state.is_terminal());
        check(&task);
    }

    #[test]
    fn no_two_runs_of_a_task_commit(calls in proptest::collection::vec(call(), 0..60)) {
        let mut task = task(Millis(1000));
        let mut committed = 0;
        for call in &calls {
            if let Call::End(number, outcome) = call {
                committed += u32::from(task.end_run(run_id(*number), outcome.clone(), Millis(9)) == Ok(RunEnd::Committed));
            } else {
                apply(&mut task, call, Millis(9));
            }
        }
        prop_assert!(committed <= 1);
        prop_assert_eq!(committed == 1, task.state == TaskState::Succeeded);
    }

    #[test]
    fn an_item_reads_back_as_it_was_written(calls in proptest::collection::vec(call(), 0..20), work in 0.0..1e6_f64) {
        let mut task = task(Millis(1000));
        task.work = work;
        for call in &calls {
            apply(&mut task, call, Millis(2000));
        }
        let text = serde_json::to_string(&task).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Task>(&text).unwrap(), &task);
        let value = serde_json::to_value(&task).unwrap();
        prop_assert_eq!(serde_json::from_value::<Task>(value).unwrap(), task);
    }

    #[test]
    fn messages_are_cut_between_letters(message in "\\PC{0,600}") {
        let failure = Failure::new(FailureClass::User, message.clone());
        prop_assert!(failure.message.len() <= Failure::MAX_MESSAGE);
        if message.len() <= Failure::MAX_MESSAGE {
            prop_assert_eq!(failure.message, message);
        } else {
            prop_assert!(message.starts_with(failure.message.strip_suffix('…').unwrap()));
        }
    }
}

// ---------------------------------------------------------------- single rules

fn running(now: Millis) -> Task {
    let mut task = task(now);
    task.start(run(1, now)).unwrap();
    task
}

#[test]
fn a_result_while_canceling_is_refused() {
    for (cause, state) in [
        (CancelCause::User, TaskState::Canceled),
        (CancelCause::Expired, TaskState::Expired),
    ] {
        let mut task = running(Millis(1));
        assert_eq!(task.cancel(cause, Millis(2)), Canceled::Asked);
        // The first cause stays.
        assert_eq!(task.cancel(CancelCause::User, Millis(3)), Canceled::Already);
        assert_eq!(task.cancel(CancelCause::Expired, Millis(3)), Canceled::Already);
        let result = TaskResult {
            key: String::new(),
            offsets: vec![0],
            size: 1,
            lora_warning: false,
            pose: None,
            ..TaskResult::default()
        };
        let end = task.end_run(run_id(1), Outcome::Succeeded(result, RunTimes::default()), Millis(4));
        assert_eq!(end, Ok(RunEnd::Ended));
        assert_eq!((task.state, task.result), (state, None));
    }
}

#[test]
fn only_infrastructure_failures_are_counted() {
    let failed = |class, task: &mut Task| task.end_run(run_id(1), Outcome::Failed(Failure::new(class, "x")), Millis(2));
    let mut task = running(Millis(1));
    for _ in 0..20 {
        assert_eq!(failed(FailureClass::Capacity, &mut task), Ok(RunEnd::Requeued));
        task.start(run(1, Millis(3))).unwrap();
    }
    assert_eq!(task.failures, 0);
    for count in 1..=Task::MAX_FAILURES {
        let end = failed(FailureClass::Infrastructure, &mut task);
        assert_eq!(task.failures, count);
        if count < Task::MAX_FAILURES {
            assert_eq!(end, Ok(RunEnd::Requeued));
            task.start(run(1, Millis(3))).unwrap();
        } else {
            assert_eq!(end, Ok(RunEnd::Ended));
        }
    }
    assert_eq!(task.state, TaskState::Failed);

    let mut task = running(Millis(1));
    assert_eq!(failed(FailureClass::User, &mut task), Ok(RunEnd::Ended));
    assert_eq!((task.state, task.failures), (TaskState::Failed, 0));
}

#[test]
fn a_late_result_counts_if_nobody_replaced_the_run() {
    let mut task = running(Millis(1));
    let result = TaskResult {
        key: String::new(),
        offsets: vec![0],
        size: 1,
        lora_warning: false,
        pose: None,
        ..TaskResult::default()
    };
    let outcome = Outcome::Succeeded(result, RunTimes::default());
    let wrong = task.end_run(run_id(2), outcome.clone(), Millis(u64::MAX));
    assert_eq!(wrong, Err(TransitionError::NotThisRun));
    assert_eq!(
        task.end_run(run_id(1), outcome, Millis(u64::MAX)),
        Ok(RunEnd::Committed)
    );
}

#[test]
fn progress_that_is_no_number_is_dropped() {
    let mut task = running(Millis(1));
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(task.take_progress(run_id(1), 5, value), Ok(false));
    }
    assert_eq!(task.take_progress(run_id(1), 5, -3.0), Ok(true));
    assert!(task.progress().abs() < f32::EPSILON);
}

// ---------------------------------------------------------------- its record

#[test]
fn what_is_over_is_offered_each_hour_until_it_has_its_record() {
    const NOW: Millis = Millis(1_788_264_000_000);
    let mut waits = task(NOW);
    assert_eq!(waits.offered(Millis(u64::MAX)), None, "it is not over");
    waits.cancel(CancelCause::User, NOW);
    let due = NOW + Task::OFFERED_AFTER;
    assert_eq!(waits.offered(Millis(due.0 - 1)), None, "the stream has its hour");
    let again = waits.offered(due).unwrap();
    assert_eq!(again.offer_at, Some(due + Task::OFFERED_AFTER));
    assert_eq!(again.unarchived, waits.unarchived);
    let done = again.archived(std::time::Duration::from_hours(1), due);
    assert_eq!(
        (done.archived_at, done.ttl),
        (Some(due), Some((due.0 + 3_600_000) / 1000))
    );
    assert_eq!((&done.unarchived, done.offer_at), (&None, None));
    assert_eq!(done.offered(Millis(u64::MAX)), None, "it has its record");
}
