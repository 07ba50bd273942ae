//! Each alarm over a series that must raise it and one that must not. Ours are recorded: of ticks in a studio to which that
//! happens. AWS's own are written down.

use std::collections::BTreeSet;

use model::{
    BreakerForce, Lane, LaunchOutcome, Meter, MicroUsd, Millis, WorkerState,
    metrics::{Sample, TASK_FAILED},
};
use policy::measure;

use super::{
    alarm::State,
    emf::{self, NAMESPACE},
    template::{Alarm, alarms},
};
use crate::support::{INSTANCE, MARA, NOW, TASK, WORKER, World, golden, minutes, seconds, task_id};

const HOUR: u64 = 60;

/// What happens to a pool, from the first of some minutes on.
struct Case {
    alarm: &'static str,
    /// What is so, and whether that is to be heard.
    what: &'static str,
    raises: bool,
}

const fn raises(alarm: &'static str, what: &'static str) -> Case {
    Case {
        alarm,
        what,
        raises: true,
    }
}

const fn is_fine(alarm: &'static str, what: &'static str) -> Case {
    Case {
        alarm,
        what,
        raises: false,
    }
}

const CASES: [Case; 16] = [
    raises("BreakerOpens", "too many starts failed"),
    is_fine("BreakerOpens", "an operator has paused the pool"),
    raises("StartsFail", "two of ten starts failed"),
    is_fine("StartsFail", "one of five starts failed"),
    raises("PoolSaturated", "the only machine there may be is hot"),
    is_fine("PoolSaturated", "a machine is hot, and there may be another"),
    is_fine("PoolSaturated", "the only machine there may be has just become hot"),
    raises("NobodyServes", "a picture waits, and no machine may start"),
    is_fine("NobodyServes", "a picture waits, and a machine paints"),
    raises("MachineIdles", "a machine is up and does nothing"),
    is_fine("MachineIdles", "a machine is up and paints"),
    raises("LimitReached", "the month has cost what it may"),
    is_fine("LimitReached", "the month has cost the half of it"),
    is_fine("LimitReached", "the month may cost what it wants"),
    is_fine("StartsFail", "nothing has happened"),
    is_fine("BreakerOpens", "nothing has happened"),
];

/// Makes it so at this minute.
async fn happen(world: &World, what: &str, now: Millis) {
    let outcomes = |failed: usize, all: usize| {
        (0..all).map(move |it| LaunchOutcome {
            at: NOW,
            ok: it >= failed,
        })
    };
    let hot = async |since: Millis, most: u32| {
        world.alter_pool(|pool| pool.max_workers = most).await;
        world.alter_worker(WORKER, |it| it.hot_since = Some(since)).await;
    };
    match what {
        "too many starts failed" => world.alter_pool(|pool| pool.breaker.opened_at = Some(NOW)).await,
        "an operator has paused the pool" => {
            world
                .alter_pool(|pool| {
                    pool.breaker.opened_at = Some(NOW);
                    pool.breaker.forced = Some(BreakerForce::Open);
                })
                .await;
        }
        "two of ten starts failed" => {
            world
                .alter_pool(|pool| pool.breaker.outcomes = outcomes(2, 10).collect())
                .await;
        }
        "one of five starts failed" => {
            world
                .alter_pool(|pool| pool.breaker.outcomes = outcomes(1, 5).collect())
                .await;
        }
        "the only machine there may be is hot" => hot(NOW - minutes(5), 1).await,
        "a machine is hot, and there may be another" => hot(NOW - minutes(5), 2).await,
        "the only machine there may be has just become hot" => hot(now - seconds(200), 1).await,
        "a picture waits, and no machine may start" => {
            world
                .alter_pool(|pool| pool.breaker.forced = Some(BreakerForce::Open))
                .await;
            world.alter_task(&task_id(), |task| task.seen_at = now).await;
        }
        "a picture waits, and a machine paints" => world.alter_task(&task_id(), |task| task.seen_at = now).await,
        "a machine is up and does nothing" | "a machine is up and paints" | "nothing has happened" => {}
        "the month has cost what it may" => spend(world, Some(10), 10).await,
        "the month has cost the half of it" => spend(world, Some(10), 5).await,
        "the month may cost what it wants" => spend(world, None, 10).await,
        other => panic!("{other}?"),
    }
    if world.workers().iter().any(|it| it.worker_id.as_str() == WORKER) {
        world.alter_worker(WORKER, |it| it.heard(now)).await;
    }
}

async fn spend(world: &World, limit: Option<u64>, spent: u64) {
    let usd = |dollars| MicroUsd(dollars * 1_000_000);
    world
        .alter_pool(|pool| {
            pool.monthly_limit = limit.map(usd);
            pool.meter = Meter {
                month: NOW.month(),
                stopped: usd(spent),
                ..Meter::default()
            };
        })
        .await;
}

/// What ticks write for half an hour of it.
async fn recorded(alarm: &Alarm, what: &str) -> Vec<(Millis, f64)> {
    let world = World::new().await;
    if what.contains("machine") && !what.contains("no machine") {
        world.ready(WORKER, INSTANCE, NOW - minutes(2 * HOUR)).await;
        let paints = what.contains("paints") || what.contains("hot");
        world
            .alter_worker(WORKER, |it| {
                if paints {
                    it.state = WorkerState::Busy;
                    it.worked_at = Some(NOW);
                }
            })
            .await;
    }
    if what.contains("picture") {
        world.queued(TASK, MARA, NOW).await;
        world.alter_task(&task_id(), |it| it.lane = Lane::Interactive).await;
    }
    let mut series = Vec::new();
    for minute in 0..30 {
        let now = NOW + minutes(minute);
        happen(&world, what, now).await;
        let tick = async { world.lifecycle(golden("lifecycle", "tick"), now).await.unwrap() };
        for ((name, of), value) in Box::pin(emf::values(tick, now)).await {
            if name == alarm.seen.metric && of.is_empty() {
                series.push((now, value));
            }
        }
    }
    series
}

#[tokio::test]
async fn each_is_raised_by_what_happens_and_not_by_what_is_fine() {
    let alarms = alarms();
    let mut tried = BTreeSet::new();
    for Case { alarm, what, raises } in CASES {
        let alarm = alarms.iter().find(|it| it.name == alarm).unwrap();
        let series = Box::pin(recorded(alarm, what)).await;
        // Nothing said would raise nothing, and show nothing.
        assert!(!series.is_empty() || what.ends_with("may cost what it wants"), "{what}");
        let raised = alarm.is_raised_by(&series, NOW, NOW + minutes(35));
        assert_eq!(raised, raises, "{}: {what}: {series:?}", alarm.name);
        tried.insert((alarm.name.clone(), raises));
    }
    for alarm in alarms
        .iter()
        .filter(|it| it.seen.namespace == NAMESPACE && it.name != "PicturesFail")
    {
        for raises in [true, false] {
            assert!(tried.contains(&(alarm.name.clone(), raises)), "{} {raises}", alarm.name);
        }
    }
}

/// An hour of so many pictures, of which so many failed.
fn pictures(all: u32, failed: u32) -> Vec<(Millis, f64)> {
    let value = |failed: bool| TASK_FAILED.whether(failed).value;
    (0..all)
        .map(|it| (NOW + seconds(u64::from(it) * 30), value(it < failed)))
        .collect()
}

#[test]
fn pictures_fail_where_many_do_and_not_where_few_were_asked_for() {
    let alarm = alarms().into_iter().find(|it| it.name == "PicturesFail").unwrap();
    let raised = |series: &[(Millis, f64)]| alarm.is_raised_by(series, NOW, NOW + minutes(3 * HOUR));
    assert!(raised(&pictures(60, 15)), "a quarter");
    assert!(!raised(&pictures(60, 6)), "a tenth");
    assert!(!raised(&pictures(10, 10)), "all of too few");
    assert!(!raised(&[]));
}

/// A user's own mistake is none of the studio's.
#[tokio::test]
async fn a_failure_of_the_request_is_not_counted() {
    let world = World::new().await;
    let (mut task, _) = world.running(NOW).await;
    task.state = model::TaskState::Failed;
    for (class, counts) in [
        (model::FailureClass::User, false),
        (model::FailureClass::Infrastructure, true),
    ] {
        task.error = Some(model::Failure::new(class, "No."));
        let found: Vec<Sample> = measure::task(&task);
        assert_eq!(found.iter().any(|it| it.row == TASK_FAILED.row()), counts);
    }
}

/// Ticks, 5xx and dead letters, minute by minute: none where nothing was said.
#[test]
fn aws_s_own_are_raised_by_what_aws_says() {
    let quiet: [Option<f64>; 8] = [Some(0.0); 8];
    let series: [(&str, [Option<f64>; 8], bool); 15] = [
        ("LifecycleFails", [Some(1.0); 8], true),
        ("LifecycleFails", [None; 8], true),
        ("LifecycleFails", quiet, false),
        ("IdleReaperFails", [None; 8], true),
        ("IdleReaperFails", quiet, false),
        (
            "DeadLetters",
            [
                Some(0.0),
                Some(2.0),
                Some(2.0),
                Some(2.0),
                Some(2.0),
                Some(2.0),
                Some(2.0),
                Some(2.0),
            ],
            true,
        ),
        ("DeadLetters", quiet, false),
        ("DeadLetters", [None; 8], false),
        (
            "RecordsFail",
            [
                None,
                None,
                Some(1.0),
                Some(1.0),
                Some(1.0),
                Some(1.0),
                Some(1.0),
                Some(1.0),
            ],
            true,
        ),
        ("RecordsFail", quiet, false),
        ("RecordsFail", [None; 8], false),
        ("ServerErrors", [Some(2.0); 8], true),
        (
            "ServerErrors",
            [Some(1.0), Some(1.0), None, None, None, Some(1.0), None, None],
            false,
        ),
        ("ServerErrors", [None; 8], false),
        (
            "IdleReaperFails",
            [
                Some(1.0),
                Some(0.0),
                Some(0.0),
                Some(0.0),
                Some(0.0),
                Some(0.0),
                Some(1.0),
                Some(0.0),
            ],
            false,
        ),
    ];
    let alarms = alarms();
    for (name, minute, raises) in series {
        let alarm = alarms.iter().find(|it| it.name == name).unwrap();
        let values = minute
            .iter()
            .enumerate()
            .filter_map(|(at, value)| Some((NOW + minutes(at as u64), (*value)?)));
        let values: Vec<_> = values.collect();
        // As long as there was time for all of its periods, and no longer.
        let raised = (5..=8).any(|at| alarm.evaluate(&values, NOW + minutes(at)) == State::Raised);
        assert_eq!(raised, raises, "{name}: {minute:?}");
    }
    let tried: BTreeSet<_> = series.iter().map(|(name, ..)| *name).collect();
    for alarm in alarms.iter().filter(|it| it.seen.namespace != NAMESPACE) {
        assert!(tried.contains(alarm.name.as_str()), "{}", alarm.name);
    }
}
