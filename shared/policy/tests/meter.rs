//! What a pool's machines cost in a month, whoever looks when, and that the monthly limit holds.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use model::{
    BacklogEntry, Estimates, Lane, MicroUsd, Millis, Pool, PoolId, Settings, TaskId, TeamId, UserId, Worker, WorkerId,
    WorkerState,
};
use policy::{
    PoolSnapshot, meter,
    reap::{self, ReapAction},
    run,
    scale::{self, Grow},
};
use proptest::prelude::*;
use uuid::Uuid;

/// 2026-11-29 00:00 UTC: two days before a month turns.
const NOW: Millis = Millis(1_795_910_400_000);
const DECEMBER: Millis = Millis(1_796_083_200_000);
/// Of the instance types below, US$ an hour, as the list of prices has them.
const HOURS: [(&str, f64); 2] = [("g5.xlarge", 1.006), ("g6.xlarge", 0.8048)];
const SECOND: Duration = Duration::from_secs(1);

fn pool() -> Pool {
    Pool::new(
        PoolId::new("default"),
        9,
        HOURS.map(|(name, _)| name.to_owned()).to_vec(),
    )
}

/// What a machine does: it is off for so long, then up for so long, and so on, seconds; its type.
type Life = (Vec<(u32, u32)>, usize);

fn life() -> impl Strategy<Value = Life> {
    let hours = |most: u32| 1..most * 3600;
    (proptest::collection::vec((hours(30), hours(20)), 1..5), 0..HOURS.len())
}

/// What happens when: a start or a stop of a machine, or that somebody looks.
#[derive(Debug, Clone, Copy)]
enum Event {
    Start(usize),
    Stop(usize),
    Look,
}

/// When these machines start and stop.
fn events(lives: &[Life]) -> Vec<(Millis, Event)> {
    let mut events = Vec::new();
    for (worker, (turns, _)) in lives.iter().enumerate() {
        let mut at = NOW;
        for (off, up) in turns {
            at = at + SECOND * *off;
            events.push((at, Event::Start(worker)));
            at = at + SECOND * *up;
            events.push((at, Event::Stop(worker)));
        }
    }
    events
}

/// The time within a month, which these moments name, that is between two moments.
fn within(from: Millis, to: Millis, december: bool) -> Duration {
    if december {
        to.since(from.max(DECEMBER))
    } else {
        to.min(DECEMBER).since(from)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// At each look the meter shows the sum of the times that machines were up in that month, by their prices: however
    /// often and late somebody looks, and whether anybody has looked before.
    #[test]
    fn the_meter_is_the_sum_of_the_times_up(
        lives in proptest::collection::vec(life(), 1..5),
        looks in proptest::collection::vec(1_u32..8 * 24 * 3600, 0..30),
    ) {
        let mut story = events(&lives);
        story.extend(looks.iter().flat_map(|at| [(NOW + SECOND * *at, Event::Look); 2]));
        story.sort_by_key(|(at, _)| *at);
        let mut pool = pool();
        let mut workers: Vec<Worker> = Vec::new();
        for (at, event) in story.iter().copied() {
            match event {
                Event::Start(number) => {
                    let id = WorkerId::new(format!("w-{number}"));
                    if let Some(worker) = workers.iter_mut().find(|it| it.worker_id == id) {
                        worker.become_state(WorkerState::Starting, at).unwrap();
                    } else {
                        let mut worker = Worker::launching(id, pool.pool.clone(), at);
                        worker.instance_type = Some(HOURS[lives[number].1].0.to_owned());
                        workers.push(worker);
                    }
                }
                Event::Stop(number) => {
                    let id = WorkerId::new(format!("w-{number}"));
                    let worker = workers.iter_mut().find(|it| it.worker_id == id).unwrap();
                    let before = worker.state;
                    run::moved(worker, WorkerState::Stopped, at).unwrap();
                    prop_assert!(meter::stops(before, worker));
                    meter::stopped(&mut pool, worker, at);
                }
                Event::Look => {
                    let mut wanted = 0.0;
                    for (number, (_, of_type)) in lives.iter().enumerate() {
                        let mut up = None;
                        let mut time = Duration::ZERO;
                        for (then, event) in events(&lives).into_iter().filter(|(then, _)| *then <= at) {
                            match event {
                                Event::Start(it) if it == number => up = Some(then),
                                Event::Stop(it) if it == number => {
                                    time += within(up.take().unwrap(), then, at >= DECEMBER);
                                }
                                _ => {}
                            }
                        }
                        time += up.map_or(Duration::ZERO, |since| within(since, at, at >= DECEMBER));
                        wanted += time.as_secs_f64() / 3600.0 * HOURS[*of_type].1;
                    }
                    let used = meter::used(&pool, &workers, at).0 as f64 / 1e6;
                    // Each time up is rounded to a millionth of a dollar.
                    prop_assert!((used - wanted).abs() < 1e-4, "{used} for {wanted}");
                }
            }
        }
    }

    /// However much waits: once the limit is reached nothing grows, nothing goes on that had begun to stop, and what is
    /// idle stops. So no more is spent above it than by what was up and had work.
    #[test]
    fn nothing_grows_above_the_limit(
        states in proptest::collection::vec((0..WorkerState::ALL.len(), 0_u32..100), 0..6),
        stopped in 0_u64..20_000_000, limit in 0_u64..20_000_000, waits in any::<bool>(), lifted in any::<bool>(),
    ) {
        let mut pool = pool();
        pool.monthly_limit = Some(MicroUsd(limit));
        meter::lift(&mut pool, lifted, NOW);
        pool.meter.stopped = MicroUsd(stopped);
        let (settings, estimates) = (Settings::default(), Estimates::default());
        let workers: Vec<_> = states.iter().enumerate().map(|(number, (state, ago))| {
            let up_since = Millis(NOW.0 - u64::from(*ago) * 60_000);
            let id = WorkerId::new(format!("w-{number}"));
            let mut worker = Worker::launching(id, pool.pool.clone(), up_since);
            worker.state = WorkerState::ALL[*state];
            worker.last_seen = NOW;
            worker
        }).collect();
        let backlog = if waits { vec![entry()] } else { Vec::new() };
        let snapshot = PoolSnapshot {
            pool: &pool,
            workers: &workers,
            backlog: &backlog,
            presence: &[],
            estimates: &estimates,
            hazard: None,
            settings: &settings,
            now: NOW,
        };
        let reached = !lifted && meter::used(&pool, &workers, NOW).0 >= limit;
        prop_assert_eq!(meter::is_reached(&pool, &workers, NOW), reached);
        let plan = scale::plan(&snapshot);
        let paused = scale::paused(&pool, &workers, &settings, NOW);
        prop_assert_eq!(paused.is_some(), reached);
        if reached {
            prop_assert_eq!(plan.grow, Grow::No);
            let steps = reap::plan(&snapshot);
            prop_assert!(steps.iter().all(|step| step.action != ReapAction::Undrain));
            let idle = workers.iter().filter(|it| it.state == WorkerState::Ready && !waits);
            prop_assert_eq!(steps.iter().filter(|it| it.action == ReapAction::Drain).count(), idle.count());
        } else {
            prop_assert!(!plan.paused);
        }
    }
}

fn entry() -> BacklogEntry {
    BacklogEntry {
        task_id: TaskId::new(Uuid::nil()),
        owner: UserId::new("mara"),
        team: TeamId::new("studio"),
        start_tag: 0,
        lane: Lane::Interactive,
        model: None,
        failed_on: None,
        work: 40.0,
        created: NOW,
        expires_at: NOW + Duration::from_hours(1),
        seen_at: NOW,
    }
}

#[test]
fn a_clock_that_is_behind_takes_no_month_back() {
    let mut pool = pool();
    let mut worker = Worker::launching(WorkerId::new("w-0"), pool.pool.clone(), DECEMBER);
    let hour = Duration::from_hours(1);
    meter::stopped(&mut pool, &worker, DECEMBER + hour);
    let december = pool.meter.clone();
    worker.up_since = NOW;
    meter::stopped(&mut pool, &worker, Millis(DECEMBER.0 - 1));
    assert_eq!(pool.meter, december);
    assert_eq!(meter::used(&pool, &[], Millis(DECEMBER.0 - 1)), MicroUsd(1_006_000));
    assert_eq!(meter::used(&pool, &[], DECEMBER + hour * 24 * 31), MicroUsd(0));
}

#[test]
fn the_operator_is_told_once_a_month_of_each_step() {
    let mut pool = pool();
    pool.monthly_limit = Some(MicroUsd(10_000_000));
    let mut told = Vec::new();
    let mut look = |pool: &mut Pool, spent: u64, now: Millis| {
        meter::lift(pool, false, now);
        pool.meter.stopped = MicroUsd(spent);
        while let Some(percent) = meter::notice(pool, &[], now) {
            meter::told(pool, percent, now);
            told.push(percent);
        }
    };
    for spent in [7_999_999, 8_000_000, 9_000_000, 10_000_000, 11_000_000] {
        look(&mut pool, spent, NOW);
    }
    look(&mut pool, 12_000_000, DECEMBER);
    assert_eq!(told, [80, 100, 100]);
    pool.monthly_limit = None;
    assert_eq!(meter::notice(&pool, &[], DECEMBER), None);
}
