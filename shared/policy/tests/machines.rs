//! What starts and losses leave behind, on the pool, the worker and the task.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use model::{
    BacklogEntry, Blame, ConnectionId, Estimates, Failure, FailureClass, InstanceId, Millis, Outcome, Pool, PoolId,
    Run, RunEnd, RunId, RunRef, Settings, Task, TaskId, TaskState, Worker, WorkerId, WorkerState,
};
use policy::{
    PoolSnapshot, breaker, run,
    scale::{self, Grow},
    start::{self, Refusal},
};
use serde_json::json;
use uuid::Uuid;

const NOW: Millis = Millis(1_788_264_000_000);

fn id() -> WorkerId {
    WorkerId::new("w")
}

fn pool(max_workers: u32) -> Pool {
    Pool::new(PoolId::new("default"), max_workers, vec!["g5.xlarge".to_owned()])
}

fn worker(state: WorkerState) -> Worker {
    let mut worker = Worker::launching(id(), PoolId::new("default"), NOW - Duration::from_hours(1));
    worker.outcome_due = false;
    worker.connection = Some(ConnectionId::new("open"));
    worker.state = state;
    worker.heard(NOW);
    worker
}

fn snapshot<'a>(
    pool: &'a Pool,
    workers: &'a [Worker],
    backlog: &'a [BacklogEntry],
    with: &'a (Settings, Estimates),
) -> PoolSnapshot<'a> {
    PoolSnapshot {
        pool,
        workers,
        backlog,
        presence: &[],
        estimates: &with.1,
        hazard: None,
        settings: &with.0,
        now: NOW,
    }
}

fn held() -> RunRef {
    RunRef {
        task_id: TaskId::new(Uuid::from_u128(1)),
        run_id: RunId::new(Uuid::from_u128(2)),
    }
}

/// A task that this worker has begun to render.
fn running(worker: &mut Worker) -> Task {
    let mut task: Task = serde_json::from_value(json!({
        "task_id": held().task_id, "version": 1, "owner": "mara", "team": "studio", "pool": "default", "start_tag": 7,
        "lane": "interactive", "state": "queued", "work": 30.0, "created": NOW, "expires_at": u64::MAX, "seen_at": NOW,
    }))
    .unwrap();
    let run = Run {
        run_id: held().run_id,
        worker_id: worker.worker_id.clone(),
        claimed_at: NOW,
        generation: Some(1),
        lease_until: NOW,
        deadline: NOW,
        seq: 0,
        progress: 0.0,
    };
    task.start(run).unwrap();
    worker.start(held(), NOW).unwrap();
    task
}

#[test]
fn a_start_has_one_outcome_and_a_stop_on_purpose_none() {
    for before in WorkerState::ALL {
        for after in WorkerState::ALL {
            let mut worker = worker(after);
            assert_eq!(
                start::outcome(before, &worker),
                None,
                "{before:?} to {after:?}: it was told already"
            );
            worker.outcome_due = true;
            let came_up = (before, after) == (WorkerState::Warming, WorkerState::Ready);
            let ended = matches!(after, WorkerState::Failed | WorkerState::Stopped | WorkerState::Gone);
            let failed = before.is_coming() && ended;
            let expected = (came_up || failed).then_some(came_up);
            assert_eq!(start::outcome(before, &worker), expected, "{before:?} to {after:?}");
            let mut pool = pool(1);
            start::settle(Some(&mut pool), &mut worker, came_up, NOW);
            assert_eq!(start::outcome(before, &worker), None);
            assert_eq!(pool.breaker.outcomes.len(), 1);
        }
    }
}

/// Takes the same way as the functions: a plan wins, the worker is on its way, EC2 says no.
#[test]
fn a_refused_start_counts_only_if_it_was_no_lack_of_capacity() {
    for (why, failures) in [(Refusal::NoCapacity, 0), (Refusal::Failed, 1)] {
        let with = (Settings::default(), Estimates::default());
        let (mut stopped, empty) = (worker(WorkerState::Stopped), pool(2));
        let workers = [stopped.clone()];
        let backlog = [BacklogEntry::from(&running(&mut worker(WorkerState::Ready)))];
        let looks = snapshot(&empty, &workers, &backlog, &with);
        let plan = scale::plan(&looks);
        assert_eq!(plan.grow, Grow::Start(id()));
        let mut won = start::won(&looks, &plan, &id());
        assert_eq!((won.starting.len(), won.breaker.probed_at), (1, Some(NOW)));

        stopped.become_state(WorkerState::Starting, NOW).unwrap();
        assert!(start::start_refused(&mut stopped, why, NOW));
        if let Some(ok) = start::outcome(WorkerState::Starting, &stopped) {
            start::settle(Some(&mut won), &mut stopped, ok, NOW);
        }
        start::forget(&mut won, &id());
        let failed = won.breaker.outcomes.iter().filter(|it| !it.ok).count();
        assert_eq!((failed, won.starting.len()), (failures, 0), "{why:?}");
        assert_eq!(stopped.state, WorkerState::Stopped);
        assert!(
            !start::start_refused(&mut stopped, why, NOW),
            "it is not starting any more"
        );
        // The instance rests; a launch is tried, at once if there was only no capacity.
        assert_eq!(start::plan_again(false, why), why == Refusal::NoCapacity);
        let workers = [stopped];
        assert_eq!(
            scale::plan(&snapshot(&won, &workers, &backlog, &with)).grow,
            Grow::Launch
        );
    }
}

#[test]
fn a_refused_launch_leaves_nothing_behind_but_a_pause() {
    let launched = |instance: Option<&str>| {
        let mut worker = Worker::launching(id(), PoolId::new("default"), NOW);
        worker.instance_id = instance.map(InstanceId::new);
        worker
    };
    for (why, worker, delete, failures) in [
        (Refusal::NoCapacity, Some(launched(None)), true, 0),
        (Refusal::Failed, Some(launched(None)), true, 1),
        // `lifecycle` found an instance of it after all, or has deleted it.
        (Refusal::Failed, Some(launched(Some("i-1"))), false, 0),
        (Refusal::Failed, None, false, 0),
    ] {
        let with = (Settings::default(), Estimates::default());
        let empty = pool(1);
        let backlog = [BacklogEntry::from(&running(&mut self::worker(WorkerState::Ready)))];
        let looks = snapshot(&empty, &[], &backlog, &with);
        let plan = scale::plan(&looks);
        assert_eq!(plan.grow, Grow::Launch);
        let mut won = start::won(&looks, &plan, &id());
        assert_eq!(
            start::launch_refused(&mut won, &id(), worker.as_ref(), why, NOW),
            delete
        );
        assert_eq!((won.breaker.outcomes.len(), won.starting.len()), (failures, 0));
        assert!(!start::plan_again(true, why));
        assert_eq!(
            scale::plan(&snapshot(&won, &[], &backlog, &with)).grow,
            Grow::No,
            "not again at once"
        );
    }
}

#[test]
fn what_a_forecast_starts_it_pays_for() {
    let with = (Settings::default(), Estimates::default());
    let mut pool = pool(2);
    let credit_ms = 3_600_000;
    pool.forecast = Some(model::Forecast {
        workers: 1,
        until: Millis(u64::MAX),
        credit_ms,
        settled_at: Millis(0),
    });
    let looks = snapshot(&pool, &[], &[], &with);
    let plan = scale::plan(&looks);
    assert!(plan.for_forecast);
    let left = start::won(&looks, &plan, &id()).forecast.unwrap().credit_ms;
    let price = policy::forecast::price(policy::estimate::start(&with.1), &with.0);
    assert_eq!(left, credit_ms - price);
    assert_eq!(breaker::verdict(&pool.breaker, &with.0, NOW), breaker::Verdict::Closed);
}

#[test]
fn a_worker_that_fell_silent_is_not_counted_on_until_it_speaks() {
    let with = (Settings::default(), Estimates::default());
    let mut worker = worker(WorkerState::Ready);
    let mut task = running(&mut worker);
    let end = run::fell_silent(&mut task, Some(&mut worker), held().run_id, NOW).unwrap();
    assert_eq!(
        (end, task.state, task.start_tag),
        (RunEnd::Requeued, TaskState::Queued, 7)
    );
    assert!(task.error.as_ref().unwrap().message.contains("fell silent"));
    assert_eq!((worker.state, worker.run), (WorkerState::Ready, None));

    let (pool, backlog) = (pool(2), [BacklogEntry::from(&task)]);
    let look = |worker: &Worker| {
        let workers = [worker.clone()];
        let snapshot = snapshot(&pool, &workers, &backlog, &with);
        let plan = scale::plan(&snapshot);
        let woken = scale::first_to_wake(&workers, None, &Estimates::default(), &with.0, NOW).is_some();
        let line = policy::wait::free_in(&snapshot).len();
        (plan.wake.len(), plan.grow, woken, line, scale::note(&workers, None))
    };
    assert_eq!(look(&worker), (0, Grow::Launch, false, 0, "Waiting for a GPU."));
    worker.heard(NOW);
    // It is counted on again, but not for what it has lost.
    assert_eq!(look(&worker), (1, Grow::Launch, true, 1, "Starting."));
    let (other, with_other) = (
        TaskId::new(Uuid::from_u128(9)),
        BacklogEntry {
            failed_on: None,
            ..backlog[0].clone()
        },
    );
    let backlog = [BacklogEntry {
        task_id: other,
        ..with_other
    }];
    let workers = [worker];
    assert_eq!(scale::plan(&snapshot(&pool, &workers, &backlog, &with)).grow, Grow::No);
}

#[test]
fn a_run_ends_once_and_goes_with_its_machine() {
    let mut busy = worker(WorkerState::Ready);
    let mut task = running(&mut busy);
    for state in WorkerState::ALL {
        let mut worker = busy.clone();
        if run::moved(&mut worker, state, NOW).is_err() {
            assert_eq!(worker, busy);
            continue;
        }
        let off = matches!(state, WorkerState::Failed | WorkerState::Stopped | WorkerState::Gone);
        assert_eq!(run::dropped(busy.run, &worker), off.then(held), "{state:?}");
    }
    assert_eq!(run::machine_lost(&mut task, held().run_id, NOW), Ok(RunEnd::Requeued));
    assert!(run::machine_lost(&mut task, held().run_id, NOW).is_err());
    // A late word about it changes neither.
    let before = (task.clone(), busy.clone());
    assert!(run::fell_silent(&mut task, Some(&mut busy), held().run_id, NOW).is_err());
    assert!(
        run::end(
            &mut task,
            Some(&mut busy),
            held().run_id,
            model::Outcome::Interrupted,
            NOW
        )
        .is_err()
    );
    assert_eq!((task, busy), before);
}

/// A pool whose only worker drains: it gave its run back, and nobody has heard of it since.
#[test]
fn who_gives_a_run_back_drains_and_is_not_counted_on() {
    let mut worker = worker(WorkerState::Ready);
    let mut task = running(&mut worker);
    let given_back = Outcome::Failed(Failure::new(FailureClass::Capacity, "The machine was stopped."));
    let end = run::end(&mut task, Some(&mut worker), held().run_id, given_back, NOW).unwrap();
    assert_eq!(
        (end, task.failures, task.failed_on.clone()),
        (RunEnd::Requeued, 0, None)
    );
    assert_eq!((worker.state, worker.run), (WorkerState::Draining, None));
    worker.last_seen = NOW;
    assert!(!worker.answers(Duration::from_mins(1), NOW));
    worker.heard(NOW);
    assert!(worker.answers(Duration::from_mins(1), NOW));
}

#[test]
fn whatever_becomes_of_a_run_is_noted_against_its_machine() {
    let too_much = Failure::new(FailureClass::Infrastructure, "Too little memory.").blaming(Blame::Request);
    let ends: [fn(&mut Task, &mut Worker, Failure); 3] = [
        |task, worker, failure| {
            run::end(task, Some(worker), held().run_id, Outcome::Failed(failure), NOW).unwrap();
        },
        |task, worker, _| {
            run::fell_silent(task, Some(worker), held().run_id, NOW).unwrap();
        },
        |task, _, _| {
            run::machine_lost(task, held().run_id, NOW).unwrap();
        },
    ];
    for end in ends {
        let mut worker = worker(WorkerState::Ready);
        let mut task = running(&mut worker);
        end(&mut task, &mut worker, too_much.clone());
        assert_eq!(task.failed_on, Some(worker.worker_id.clone()));
        assert!(
            worker.failed.is_empty(),
            "nothing of it says that the machine is broken"
        );
    }
}
