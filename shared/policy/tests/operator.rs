//! What an operator does to machines and pictures, and sees of a pool.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use model::{
    BacklogEntry, BreakerForce, Estimates, Lane, MicroUsd, Millis, Pool, PoolId, Settings, Shift, TaskId, TeamId,
    UserId, Worker, WorkerId, WorkerState,
};
use policy::{
    PoolSnapshot, breaker, meter,
    place::{Reason, places},
    reap::{self, ReapAction},
    run,
    scale::{self, Grow},
};
use uuid::Uuid;

/// 1 September 2026, noon.
const NOW: Millis = Millis(1_788_264_000_000);
const HOUR: Duration = Duration::from_hours(1);

fn pool() -> Pool {
    Pool::new(PoolId::new("default"), 2, vec!["g5.xlarge".to_owned()])
}

fn worker(state: WorkerState) -> Worker {
    let mut worker = Worker::launching(WorkerId::new("w"), PoolId::new("default"), NOW - HOUR);
    worker.state = state;
    worker.last_seen = NOW;
    worker.instance_type = Some("g5.xlarge".to_owned());
    worker
}

fn entry(tag: u64, owner: &str) -> BacklogEntry {
    BacklogEntry {
        task_id: TaskId::new(Uuid::from_u128(u128::from(tag))),
        owner: UserId::new(owner),
        team: TeamId::new("t"),
        start_tag: tag,
        lane: Lane::Interactive,
        model: None,
        failed_on: None,
        work: 1.0,
        created: NOW,
        expires_at: NOW + HOUR,
        seen_at: NOW,
    }
}

fn snapshot<'a>(
    pool: &'a Pool,
    workers: &'a [Worker],
    backlog: &'a [BacklogEntry],
    settings: &'a Settings,
    estimates: &'a Estimates,
) -> PoolSnapshot<'a> {
    PoolSnapshot {
        pool,
        workers,
        backlog,
        presence: &[],
        estimates,
        hazard: None,
        settings,
        now: NOW,
    }
}

#[test]
fn each_place_has_its_reason() {
    let settings = Settings::default();
    let mut backlog = vec![
        entry(3, "mara"),
        entry(1, "mara"),
        entry(2, "noor"),
        entry(4, "ada"),
        entry(5, "ada"),
        entry(6, "eve"),
    ];
    backlog[3].lane = Lane::Batch;
    backlog[4].seen_at = NOW - HOUR;
    backlog[5].failed_on = Some(WorkerId::new("w"));
    let mut over = entry(7, "zoe");
    over.expires_at = NOW;
    backlog.push(over);
    let reasons: Vec<_> = places(&backlog, &settings, NOW)
        .into_iter()
        .map(|it| (it.entry.start_tag, it.reason))
        .collect();
    let wanted = [
        (1, Reason::Next(4)),
        (2, Reason::Next(4)),
        (3, Reason::Turns(1)),
        (4, Reason::Next(1)),
        (5, Reason::Unwanted),
        (6, Reason::Failed(WorkerId::new("w"))),
        (7, Reason::Expired),
    ];
    assert_eq!(reasons, wanted);
}

#[test]
fn whoever_is_dismissed_stops_whatever_waits_and_is_never_taken_back() {
    let (settings, estimates, pool) = (Settings::default(), Estimates::default(), pool());
    let backlog = [entry(1, "mara")];
    for state in WorkerState::ALL {
        let mut it = worker(state);
        let off = !state.is_up() || matches!(state, WorkerState::Stopping | WorkerState::Failed);
        assert_eq!(run::dismiss(&mut it, false, NOW), !off, "{state:?}");
        assert_eq!(it.dismissed.is_some(), !off, "{state:?}");
        assert!(!run::dismiss(&mut it, false, NOW), "twice is once: {state:?}");
    }
    let mut it = worker(WorkerState::Ready);
    run::dismiss(&mut it, false, NOW);
    assert_eq!(it.state, WorkerState::Draining);
    let workers = [it.clone()];
    let seen = snapshot(&pool, &workers, &backlog, &settings, &estimates);
    assert_eq!(reap::step(&it, &seen).unwrap().action, ReapAction::Stop);
    assert_eq!(
        scale::plan(&seen).grow,
        Grow::Launch,
        "another one is started for whoever waits"
    );
    assert!(run::keep(&mut it) && !run::keep(&mut it));
    let workers = [it.clone()];
    let seen = snapshot(&pool, &workers, &backlog, &settings, &estimates);
    assert_eq!(reap::step(&it, &seen).unwrap().action, ReapAction::Undrain);
    // One that comes up is let go as soon as it is up.
    let mut it = worker(WorkerState::Booting);
    run::dismiss(&mut it, true, NOW);
    assert_eq!(it.state, WorkerState::Booting);
    it.become_state(WorkerState::Warming, NOW).unwrap();
    let workers = [it.clone()];
    let seen = snapshot(&pool, &workers, &backlog, &settings, &estimates);
    assert_eq!(reap::step(&it, &seen).unwrap().action, ReapAction::Drain);
    it.become_state(WorkerState::Draining, NOW).unwrap();
    it.become_state(WorkerState::Stopping, NOW).unwrap();
    it.become_state(WorkerState::Stopped, NOW).unwrap();
    assert_eq!(it.dismissed, None, "it may be started again");
}

#[test]
fn hours_and_cost_of_day_and_month_are_counted_once() {
    let mut pool = pool();
    let mut it = worker(WorkerState::Ready);
    // Up since 2 h before the day began.
    it.up_since = NOW.day_began() - 2 * HOUR;
    let up = [it.clone()];
    let day = meter::today(&pool, &up, NOW);
    assert_eq!((day.time, day.cost), (12 * HOUR, MicroUsd(12 * 1_006_000)));
    // The month began with the day.
    assert_eq!(meter::this_month(&pool, &up, NOW), day);
    it.state = WorkerState::Stopped;
    meter::stopped(&mut pool, &it, NOW);
    let off = [it];
    assert_eq!(meter::today(&pool, &off, NOW + HOUR), day);
    let tomorrow = NOW + 24 * HOUR;
    assert_eq!(meter::today(&pool, &off, tomorrow), meter::Used::default());
    assert_eq!(meter::this_month(&pool, &off, tomorrow), day);
    for _ in 0..2 * Shift::MOST {
        meter::stopped(&mut pool, &off[0], NOW);
    }
    assert_eq!(pool.shifts.len(), Shift::MOST);
}

#[test]
fn without_a_decision_what_failed_is_forgotten() {
    let mut it = pool().breaker;
    breaker::record(&mut it, false, NOW);
    breaker::force(&mut it, Some(BreakerForce::Open));
    assert_eq!((it.forced, it.outcomes.len()), (Some(BreakerForce::Open), 1));
    breaker::force(&mut it, None);
    assert_eq!(it, model::Breaker::default());
}
