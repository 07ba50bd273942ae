//! Fair order, rate limit, breaker, presence, forecast and estimates: what holds for any input.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{collections::BTreeMap, time::Duration};

use model::{
    BacklogEntry, Band, Breaker, BreakerForce, Estimate, Estimates, Forecast, Lane, Load, Millis, NextHour, NextStep,
    Pace, Pool, PoolId, Presence, Settings, TaskId, TeamId, UserId, Worker, WorkerId, WorkerState, guess,
};
use policy::{
    PoolSnapshot,
    breaker::{self, Verdict},
    claim, estimate, fair, forecast,
    presence::{self, Sign},
    rate::{Rate, take},
    reap, scale, wait,
};
use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

const NOW: Millis = Millis(1_788_264_000_000);

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn lane() -> impl Strategy<Value = Lane> {
    prop_oneof![Just(Lane::Live), Just(Lane::Interactive), Just(Lane::Batch)]
}

fn entry(id: u128, start_tag: u64, model: &str, created: Millis) -> BacklogEntry {
    BacklogEntry {
        task_id: TaskId::new(Uuid::from_u128(id)),
        owner: UserId::new("mara"),
        team: TeamId::new("studio"),
        start_tag,
        lane: Lane::Interactive,
        failed_on: None,
        model: Some(model.to_owned()),
        work: 30.0,
        created,
        expires_at: Millis(u64::MAX),
        seen_at: NOW,
    }
}

fn worker(id: &str, state: WorkerState) -> Worker {
    let mut worker = Worker::launching(WorkerId::new(id), PoolId::new("default"), NOW - Duration::from_hours(1));
    worker.state = state;
    worker.last_seen = NOW;
    worker.idle_since = (state == WorkerState::Ready).then_some(NOW - Duration::from_mins(20));
    worker
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

// ---------------------------------------------------------------- fair order

proptest! {
    #![proptest_config(cases(200))]

    /// Two users who always have a task waiting: at any moment their GPU time differs by at most twice the largest task.
    #[test]
    fn users_who_always_wait_get_the_same(lengths in proptest::collection::vec((1_u64..60_000, 1_u64..60_000), 2..200)) {
        let largest = lengths.iter().flat_map(|(a, b)| [*a, *b]).max().unwrap();
        let mut virtual_time = 0;
        let (mut finish, mut served, mut next) = ([None; 2], [0_u64; 2], [0_usize; 2]);
        let length = |user: usize, at: usize| if user == 0 { lengths[at].0 } else { lengths[at].1 };
        let mut waiting = [0, 1].map(|user| {
            let tags = fair::tags(virtual_time, None, ms(length(user, 0)), Lane::Interactive);
            finish[user] = Some(tags.finish);
            tags.start
        });
        while next.iter().all(|at| at + 1 < lengths.len()) {
            let user = usize::from(waiting[1] < waiting[0]);
            virtual_time = fair::advanced(virtual_time, waiting[user]).unwrap_or(virtual_time);
            served[user] += length(user, next[user]);
            next[user] += 1;
            let tags = fair::tags(virtual_time, finish[user], ms(length(user, next[user])), Lane::Interactive);
            finish[user] = Some(tags.finish);
            waiting[user] = tags.start;
            prop_assert!(served[0].abs_diff(served[1]) <= 2 * largest, "{served:?}");
        }
    }

    #[test]
    fn who_was_idle_earns_no_credit(virtual_time in any::<u64>(), finish in any::<u64>(), length in any::<u64>(), lane in lane()) {
        let tags = fair::tags(virtual_time, Some(finish), ms(length), lane);
        prop_assert!(tags.start >= virtual_time && tags.start >= finish);
        prop_assert!(tags.finish > tags.start || tags.start == u64::MAX);
        // Virtual time never runs back.
        prop_assert!(fair::advanced(virtual_time, tags.start).is_none_or(|time| time > virtual_time));
    }

    #[test]
    fn a_loaded_model_overtakes_within_bounds(
        models in proptest::collection::vec((0_usize..4, 0_u64..40_000_000, 0_u64..60), 1..60), loaded in 0_usize..4,
    ) {
        let settings = Settings::default();
        let backlog: Vec<_> = models
            .iter()
            .enumerate()
            .map(|(id, (model, tag, age))| entry(id as u128, *tag, &format!("m{model}"), NOW - Duration::from_secs(*age)))
            .collect();
        let mut worker = worker("w", WorkerState::Ready);
        worker.models = vec![format!("m{loaded}")];
        let chosen = claim::choose(&backlog, &worker, &Estimates::default(), &settings, NOW);
        prop_assert_eq!(chosen.len(), backlog.len(), "a free worker never idles while it could serve");
        let of = |id: &TaskId| backlog.iter().find(|entry| entry.task_id == *id).unwrap();
        let first = of(&chosen[0]);
        let mut line: Vec<_> = backlog.iter().collect();
        line.sort_by_key(|entry| (entry.start_tag, entry.task_id));
        let overtaken = line.iter().take_while(|entry| entry.task_id != first.task_id);
        for entry in overtaken {
            prop_assert!(worker.models.contains(first.model.as_ref().unwrap()), "only a loaded model overtakes");
            prop_assert!(NOW.since(entry.created) < settings.pass_over, "nobody starves");
            let reach = fair::length(settings.look_ahead, first.lane);
            prop_assert!(first.start_tag - entry.start_tag <= reach, "no further than it may");
        }
    }
}

// ---------------------------------------------------------------- models

/// A worker that is free and answers, with these files on its disk.
fn with_disk(id: &str, marks: &[&str]) -> Worker {
    let mut worker = worker(id, WorkerState::Ready);
    worker.connection = Some(model::ConnectionId::new("open"));
    worker.heard(NOW);
    worker.on_disk = marks.iter().map(|it| (*it).to_owned()).collect();
    worker
}

fn stored(mark: &str) -> String {
    format!("atelier/studio/{mark}.safetensors")
}

#[test]
fn a_task_goes_to_the_free_worker_that_has_its_model_soonest() {
    let (settings, mut estimates) = (Settings::default(), Estimates::default());
    let (here, there) = (with_disk("here", &["aaaaaaaa"]), with_disk("there", &["bbbbbbbb"]));
    let workers = [here.clone(), there.clone()];
    let model = stored("bbbbbbbb");
    let woken = |estimates: &Estimates| {
        scale::first_to_wake(&workers, Some(&model), estimates, &settings, NOW).map(|it| it.worker_id.clone())
    };
    assert_eq!(woken(&estimates), Some(there.worker_id.clone()));
    // The other one asks first, and leaves it to whom it was woken for, but not for long.
    let mut task = entry(1, 0, &model, NOW);
    let anothers = |task: &BacklogEntry, by: &Worker, estimates: &Estimates| {
        claim::is_anothers(task, by, &workers, estimates, &settings, NOW)
    };
    assert!(anothers(&task, &here, &estimates) && !anothers(&task, &there, &estimates));
    task.created = NOW - Duration::from_secs(3);
    assert!(!anothers(&task, &here, &estimates));
    task.created = NOW;
    task.failed_on = Some(there.worker_id.clone());
    assert!(
        !anothers(&task, &here, &estimates),
        "what failed there does not wait for it"
    );
    task.failed_on = None;
    // Of a small file it is not worth to wait.
    estimates.sizes.insert(model.clone(), 300_000_000);
    assert!(!anothers(&task, &here, &estimates));
    // One that is busy was not woken.
    let busy = [here.clone(), worker("there", WorkerState::Busy)];
    estimates.sizes.clear();
    assert!(!claim::is_anothers(&task, &here, &busy, &estimates, &settings, NOW));
}

#[test]
fn who_is_sooner_by_a_second_overtakes_and_by_less_nobody() {
    let (settings, mut estimates) = (Settings::default(), Estimates::default());
    let backlog = [
        entry(1, 0, &stored("aaaaaaaa"), NOW),
        entry(2, 1, &stored("bbbbbbbb"), NOW),
    ];
    let far = with_disk("w", &[]);
    let first = |estimates: &Estimates, worker: &Worker| claim::choose(&backlog, worker, estimates, &settings, NOW)[0];
    let [one, two] = [backlog[0].task_id, backlog[1].task_id];
    assert_eq!(first(&estimates, &far), one, "nobody knows of a difference");
    estimates
        .sizes
        .extend([(stored("aaaaaaaa"), 6_900_000_000), (stored("bbbbbbbb"), 6_800_000_000)]);
    assert_eq!(first(&estimates, &far), one);
    // A small file from the bucket is there sooner than a large one from a slow disk.
    estimates.sizes.insert(stored("bbbbbbbb"), 200_000_000);
    let large = with_disk("w", &["aaaaaaaa"]);
    assert_eq!(first(&estimates, &large), two);
    // A disk that has shown to be fast is another matter.
    let read = model::worker_api::Read {
        from: model::worker_api::Source::Disk,
        bytes: 5_000_000_000,
        ms: 500,
    };
    policy::load::learn(&mut estimates, &[read]);
    assert_eq!(first(&estimates, &large), one);
}

// ---------------------------------------------------------------- rate limit

proptest! {
    #![proptest_config(cases(400))]

    /// In any stretch of time no more pass than the burst and what the rate gives back.
    #[test]
    fn no_more_pass_than_the_rate_allows(
        gaps in proptest::collection::vec(0_u64..3_000, 1..300), interval in 1_u64..5_000, burst in 1_u32..20,
    ) {
        let rate = Rate { interval: ms(interval), burst };
        let (mut due, mut now, mut passed) = (Millis(0), NOW, Vec::new());
        for gap in gaps {
            now = now + ms(gap);
            match take(due, rate, now) {
                Ok(next) => { prop_assert!(next > due); due = next; passed.push(now); }
                Err(after) => prop_assert!(take(due, rate, now + after).is_ok(), "whoever waits as told passes"),
            }
        }
        for (at, first) in passed.iter().enumerate() {
            for (count, last) in passed[at..].iter().enumerate() {
                let allowed = u64::from(burst) + last.since(*first).as_millis() as u64 / interval;
                prop_assert!(allowed >= count as u64, "{} in {:?}", count + 1, last.since(*first));
            }
        }
    }

    #[test]
    fn a_rate_is_total(due in any::<u64>(), now in any::<u64>(), interval in any::<u64>(), burst in any::<u32>()) {
        let rate = Rate { interval: ms(interval), burst };
        let _ = take(Millis(due), rate, Millis(now));
        // A state that another clock wrote far ahead keeps nobody out for longer than a bucket takes to fill.
        if let Err(after) = take(Millis(u64::MAX), Rate { interval: ms(1000), burst: 5 }, NOW) {
            prop_assert!(after <= ms(6000));
        }
    }
}

// ---------------------------------------------------------------- breaker

#[test]
fn a_breaker_opens_probes_and_closes() {
    let settings = Settings::default();
    let minutes = |n| NOW + Duration::from_mins(n);
    let mut it = Breaker::default();
    for n in 0..10 {
        breaker::record(&mut it, true, minutes(n));
    }
    breaker::record(&mut it, false, minutes(10));
    assert_eq!(
        breaker::verdict(&it, &settings, minutes(10)),
        Verdict::Closed,
        "one failure is no pattern"
    );
    breaker::record(&mut it, false, minutes(11));
    assert_eq!(breaker::verdict(&it, &settings, minutes(11)), Verdict::Open, "2 of 12");
    assert_eq!(breaker::verdict(&it, &settings, minutes(16)), Verdict::Probe);
    breaker::probing(&mut it, minutes(16));
    assert_eq!(
        breaker::verdict(&it, &settings, minutes(17)),
        Verdict::Open,
        "one probe at a time"
    );
    breaker::record(&mut it, false, minutes(20));
    assert_eq!(breaker::verdict(&it, &settings, minutes(22)), Verdict::Open);
    breaker::record(&mut it, true, minutes(26));
    assert_eq!(breaker::verdict(&it, &settings, minutes(26)), Verdict::Closed);
    // Old failures are forgotten.
    breaker::record(&mut it, false, minutes(27));
    breaker::record(&mut it, false, minutes(27 + 25 * 60));
    assert_eq!(breaker::verdict(&it, &settings, minutes(27 + 25 * 60)), Verdict::Closed);
    for (forced, verdict) in [
        (BreakerForce::Open, Verdict::Open),
        (BreakerForce::Closed, Verdict::Closed),
    ] {
        it.forced = Some(forced);
        it.opened_at = Some(NOW);
        assert_eq!(breaker::verdict(&it, &settings, NOW), verdict);
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn nothing_starts_while_the_breaker_is_open(
        outcomes in proptest::collection::vec((any::<bool>(), 0_u64..2_000_000), 0..60), later in 0_u64..600_000,
    ) {
        let (settings, mut now) = (Settings::default(), NOW);
        let mut pool = Pool::new(PoolId::new("default"), 3, vec!["g5.xlarge".to_owned()]);
        for (ok, gap) in outcomes {
            now = now + ms(gap);
            breaker::record(&mut pool.breaker, ok, now);
            prop_assert!(pool.breaker.outcomes.len() <= 20, "the pool's item stays small");
        }
        let now = now + ms(later);
        let verdict = breaker::verdict(&pool.breaker, &settings, now);
        let backlog = [BacklogEntry { seen_at: now, ..entry(1, 0, "m", now) }];
        let estimates = Estimates::default();
        let snapshot = PoolSnapshot { pool: &pool, workers: &[], backlog: &backlog, presence: &[], estimates: &estimates, hazard: None, settings: &settings, now };
        let plan = scale::plan(&snapshot);
        prop_assert_eq!(plan.grow == scale::Grow::Launch, verdict != Verdict::Open, "{}", plan.reason);
    }
}

// ---------------------------------------------------------------- presence

proptest! {
    #![proptest_config(cases(400))]

    /// Signs come late, twice and from clocks that differ: a stay ends, and it is written about once a minute.
    #[test]
    fn a_stay_follows_its_signs(signs in proptest::collection::vec((0_u64..200_000, 0_u8..3), 1..60)) {
        let settings = Settings::default();
        let (pool, user) = (PoolId::new("default"), UserId::new("mara"));
        let (mut stay, mut now, mut last): (Option<Presence>, _, _) = (None, NOW, NOW);
        for (gap, sign) in signs {
            now = now + ms(gap);
            last = now;
            let sign = [Sign::Call, Sign::Canvas, Sign::Ask][usize::from(sign)];
            let before = stay.as_ref().map(|it| it.at);
            if let Some(noted) = presence::noted(stay.as_ref(), &pool, &user, sign, &settings, now) {
                prop_assert!(noted.at >= noted.since && before.is_none_or(|before| noted.at >= before));
                stay = Some(noted);
            }
            let stay = stay.as_ref().unwrap();
            prop_assert!(presence::is_present(stay, &settings, now), "whoever gives a sign is present");
        }
        let stay = stay.unwrap();
        prop_assert!(!presence::is_present(&stay, &settings, last + settings.presence));
        prop_assert!(presence::is_present(&stay, &settings, last + settings.presence - Duration::from_secs(61)));
        let ahead = Presence { at: Millis(u64::MAX), ..stay };
        prop_assert!(!presence::is_present(&ahead, &settings, now), "a broken clock keeps nobody present");
    }
}

/// Live mode asks with each stroke: that is a write a minute, and no request is older there than a minute.
#[test]
fn stroke_after_stroke_is_written_once_a_minute() {
    let settings = Settings::default();
    let (pool, user) = (PoolId::new("default"), UserId::new("mara"));
    let note = |stay: Option<&Presence>, sign, now| presence::noted(stay, &pool, &user, sign, &settings, now);
    let mut stay = note(None, Sign::Call, NOW).unwrap();
    assert!(presence::wakes(&stay, Sign::Call) && !presence::wakes(&stay, Sign::Ask));
    let mut writes = 0;
    for half_seconds in 1..=20 * 60 {
        let now = NOW + ms(500 * half_seconds);
        if let Some(noted) = note(Some(&stay), Sign::Ask, now) {
            assert!(!presence::wakes(&noted, Sign::Canvas), "the stay goes on");
            (stay, writes) = (noted, writes + 1);
        }
        assert!(now.since(stay.asked_at.unwrap()) < Duration::from_mins(1));
    }
    assert_eq!(writes, 10);
}

#[test]
fn presence_starts_one_worker_keeps_it_and_lets_it_go() {
    let settings = Settings::default();
    let estimates = Estimates::default();
    let pool = Pool::new(PoolId::new("default"), 3, vec!["g5.xlarge".to_owned()]);
    let mara = UserId::new("mara");
    let stay = presence::noted(None, &pool.pool, &mara, Sign::Canvas, &settings, NOW).unwrap();
    let at = |workers: &[Worker], stays: &[Presence], now| {
        let snapshot = PoolSnapshot {
            pool: &pool,
            workers,
            backlog: &[],
            presence: stays,
            estimates: &estimates,
            hazard: None,
            settings: &settings,
            now,
        };
        (scale::plan(&snapshot).grow, reap::plan(&snapshot).len())
    };
    let stays = [stay.clone()];
    assert_eq!(at(&[], &stays, NOW).0, scale::Grow::Launch);
    assert_eq!(at(&[], &[], NOW).0, scale::Grow::No);
    let ready = [worker("w", WorkerState::Ready)];
    assert_eq!(at(&ready, &stays, NOW), (scale::Grow::No, 0), "somebody is present");
    let gone = [Presence {
        at: NOW - settings.presence,
        since: NOW - Duration::from_mins(9),
        ..stay.clone()
    }];
    assert_eq!(
        at(&ready, &gone, NOW),
        (scale::Grow::No, 1),
        "idle for 20 min, and nobody is there"
    );
    // Somebody who asked for nothing for half an hour neither keeps a worker nor starts one again.
    let idle = [Presence {
        since: NOW - settings.idle_stop,
        ..stay
    }];
    assert_eq!(at(&[], &idle, NOW).0, scale::Grow::No);
}

#[test]
fn silence_says_more_of_those_whose_canvas_is_reported() {
    let settings = Settings::default();
    let estimates = Estimates::default();
    let pool = Pool::new(PoolId::new("default"), 3, vec!["g5.xlarge".to_owned()]);
    let mut idle = worker("w", WorkerState::Ready);
    idle.idle_since = Some(NOW - Duration::from_mins(6));
    let mut stay = presence::noted(None, &pool.pool, &UserId::new("mara"), Sign::Canvas, &settings, NOW).unwrap();
    stay.at = NOW - Duration::from_mins(6);
    let drains = |stay: &Presence| {
        let (workers, stays) = ([idle.clone()], [stay.clone()]);
        let snapshot = PoolSnapshot {
            pool: &pool,
            workers: &workers,
            backlog: &[],
            presence: &stays,
            estimates: &estimates,
            hazard: None,
            settings: &settings,
            now: NOW,
        };
        reap::plan(&snapshot).len()
    };
    assert_eq!(drains(&stay), 1);
    stay.watched = false;
    assert_eq!(drains(&stay), 0, "it may come back within ten minutes");
}

#[test]
fn the_worker_that_came_last_stops_first() {
    let (settings, estimates) = (Settings::default(), Estimates::default());
    let pool = Pool::new(PoolId::new("default"), 3, vec!["g5.xlarge".to_owned()]);
    let stays = [presence::noted(None, &pool.pool, &UserId::new("mara"), Sign::Ask, &settings, NOW).unwrap()];
    let mut workers = ["a", "b", "c"].map(|id| worker(id, WorkerState::Ready));
    workers[1].up_since = NOW - Duration::from_hours(2);
    let snapshot = PoolSnapshot {
        pool: &pool,
        workers: &workers,
        backlog: &[],
        presence: &stays,
        estimates: &estimates,
        hazard: None,
        settings: &settings,
        now: NOW,
    };
    let stop: Vec<_> = reap::plan(&snapshot).into_iter().map(|step| step.worker_id).collect();
    assert_eq!(stop, [WorkerId::new("a"), WorkerId::new("c")]);
}

// ---------------------------------------------------------------- forecast

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn a_forecast_spends_what_it_earned(ticks in proptest::collection::vec((0_u32..5, 0_u32..50), 1..500)) {
        let tick = Duration::from_mins(1);
        let (mut credit, mut earned, mut spent) = (0, 0.0, 0.0);
        for (anyway, kept) in ticks {
            let it = Forecast { workers: kept, until: Millis(u64::MAX), credit_ms: credit, settled_at: Millis(0) };
            let kept = forecast::floor(Some(&it), NOW);
            credit = forecast::settled(credit, tick * anyway, tick * kept);
            earned += tick.as_secs_f64() * f64::from(anyway);
            spent += tick.as_secs_f64() * f64::from(kept);
            // The last tick may overdraw it.
            prop_assert!(spent <= earned * forecast::SHARE + 50.0 * 60.0 + 1.0);
        }
    }
}

/// An hour in which all steps are alike.
fn hour(arrivals: Band, gpu_s: Band) -> NextHour {
    NextHour {
        from: NOW,
        until: NOW + Duration::from_mins(15),
        steps: vec![NextStep { arrivals, gpu_s }; 12],
        ..NextHour::default()
    }
}

#[test]
fn a_machine_more_is_asked_for_at_80_percent() {
    let settings = Settings {
        forecast_workers: 9,
        ..Settings::default()
    };
    let start = Duration::from_mins(2);
    let band = |p50, p90| Band { p50, p90 };
    let asked = |gpu_s: f64| forecast::asked(Some(&hour(band(5.0, 5.0), band(gpu_s, gpu_s))), start, &settings, NOW);
    // Of 300 s of a machine, 240 may be filled.
    assert_eq!([1.0, 240.0, 241.0, 480.0, 481.0].map(asked), [1, 1, 2, 2, 3]);
    assert_eq!(asked(1e300), 9);
    for nothing in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(asked(nothing), 0);
    }
    let quiet = hour(band(0.0, 0.2), band(1.0, 2.0));
    assert_eq!(forecast::asked(Some(&quiet), start, &settings, NOW), 0);
    let busy = hour(band(5.0, 5.0), band(9.0, 9.0));
    let at = |minutes| forecast::asked(Some(&busy), start, &settings, NOW + Duration::from_mins(minutes));
    assert_eq!((at(0), at(14), at(15)), (1, 1, 0));
    // Of a clock that runs ahead.
    assert_eq!(forecast::asked(Some(&busy), start, &settings, Millis(0)), 0);
    let nothing = Settings::default();
    assert_eq!(forecast::asked(Some(&busy), start, &nothing, NOW), 0);
    assert_eq!(forecast::asked(None, start, &settings, NOW), 0);
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn whatever_is_forecast_the_floor_is_bounded_and_grows_with_it(
        p50 in any::<f64>(), p90 in any::<f64>(), gpu in 0.0..1e9_f64, more in 1.0..10.0_f64, start in 0_u64..100_000,
        most in 0_u32..20, since in any::<u64>(),
    ) {
        let settings = Settings { forecast_workers: most, ..Settings::default() };
        let start = Duration::from_secs(start);
        let asked = |arrivals: Band, gpu: f64, now| {
            forecast::asked(Some(&hour(arrivals, Band { p50: gpu, p90: gpu })), start, &settings, now)
        };
        let any = asked(Band { p50, p90 }, gpu, Millis(since));
        prop_assert!(any <= most);
        let some = Band { p50: 2.0, p90: 2.0 };
        prop_assert!(asked(some, gpu, NOW) <= asked(some, gpu * more, NOW));
        prop_assert_eq!(asked(some, gpu, NOW) > 0, most > 0);
    }
}

// ---------------------------------------------------------------- estimates and waiting

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn estimates_are_total_and_learn(
        samples in proptest::collection::vec((any::<f64>(), 0_u64..10_000_000), 0..40), work in any::<f64>(),
        mean in any::<f64>(), count in any::<u32>(), erlangs in any::<f64>(),
    ) {
        let settings = Settings::default();
        let mut estimates = Estimates { load: Load { erlangs, at: NOW }, ..Estimates::default() };
        estimates.any = Estimate { mean, samples: count };
        for (work, took) in samples {
            estimate::learn_run(&mut estimates, Some("m"), work, ms(took));
            estimate::learn_load(&mut estimates.load, ms(took), NOW);
        }
        let expected = estimate::run(&estimates, Some("m"), work);
        prop_assert!((guess::LEAST_RUN..=Duration::from_hours(24)).contains(&expected), "no run takes no time");
        prop_assert!(estimate::any_run(&estimates) >= guess::LEAST_RUN);
        prop_assert!(!estimate::start(&estimates).is_zero());
        let limit = estimate::limit(&estimates, Some("m"), work, &settings);
        prop_assert!(limit >= settings.run_floor && limit <= settings.run_limit(work));
        prop_assert!(estimate::erlangs(estimates.load, NOW).is_finite());
        let mut steady = Estimates::default();
        for _ in 0..100 {
            estimate::learn_run(&mut steady, Some("m"), 30.0, ms(6000));
        }
        let learned = estimate::run(&steady, Some("m"), 60.0).as_secs_f64();
        prop_assert!((learned - 12.0).abs() < 0.1, "{learned}");
    }

    /// DynamoDB's numbers go from 1E-130 to 9.9E+125. Whatever is measured, and however long nobody asks for anything,
    /// what was learned can be stored, and what is stored is what was learned.
    #[test]
    fn what_is_learned_can_be_stored(
        samples in proptest::collection::vec((any::<f64>(), any::<u64>(), any::<f64>(), 0_u64..10_000_000_000_000), 0..40),
    ) {
        let mut pace = Pace::new(PoolId::new("default"));
        let mut now = NOW;
        for (work, took, other, gap) in samples {
            now = now + ms(gap);
            let it = &mut pace.estimates;
            estimate::learn_run(it, Some("m"), work, ms(took));
            estimate::learn_load(&mut it.load, ms(took), now);
            for estimate in [&mut it.start, &mut it.eta_error] {
                estimate::learn(estimate, other);
            }
            let load = estimate::erlangs(it.load, now + ms(gap));
            prop_assert!(is_storable(load), "{load}");
            let stored = serde_json::to_value(&pace).unwrap();
            let wild = numbers(&stored).into_iter().find(|number| !is_storable(*number));
            prop_assert!(wild.is_none(), "{wild:?} in {stored}");
            prop_assert_eq!(serde_json::from_value::<Pace>(stored).unwrap(), pace.clone());
        }
    }

    /// The table of first guesses: nothing is given up that is only expected.
    #[test]
    fn first_guesses_are_in_order(work in any::<f64>()) {
        let [expected, limit] = [guess::EXPECTED, guess::LIMIT].map(|it| it.time(work));
        prop_assert!(expected < limit);
        prop_assert_eq!(limit, Settings::default().run_limit(work));
        prop_assert_eq!(estimate::run(&Estimates::default(), None, work), expected.clamp(guess::LEAST_RUN, Duration::from_hours(24)));
    }

    #[test]
    fn the_line_is_told_in_order(tags in proptest::collection::vec(0_u64..100, 0..40), ready in 0_usize..4, load in 0.0_f64..9.0) {
        let settings = Settings::default();
        let estimates = Estimates { load: Load { erlangs: load, at: NOW }, ..Estimates::default() };
        let pool = Pool::new(PoolId::new("default"), 3, vec!["g5.xlarge".to_owned()]);
        let workers: Vec<_> = (0..ready).map(|n| worker(&format!("w{n}"), WorkerState::Ready)).collect();
        let backlog: Vec<_> = tags.iter().enumerate().map(|(id, tag)| entry(id as u128, *tag, "m", NOW)).collect();
        let snapshot = PoolSnapshot { pool: &pool, workers: &workers, backlog: &backlog, presence: &[], estimates: &estimates, hazard: None, settings: &settings, now: NOW };
        let mut told = BTreeMap::new();
        for entry in &backlog {
            let eta = wait::eta(&snapshot, entry.task_id).unwrap();
            prop_assert!(eta.done >= eta.wait);
            told.insert(eta.position, eta.wait);
        }
        prop_assert_eq!(told.keys().copied().collect::<Vec<_>>(), (1..=backlog.len()).collect::<Vec<_>>());
        prop_assert!(told.values().is_sorted());
        prop_assert!(told.values().take(ready).all(Duration::is_zero), "free workers take them at once");
        prop_assert!(wait::steady(&snapshot, 2) <= wait::steady(&snapshot, 1));
        prop_assert_eq!(wait::eta(&snapshot, TaskId::new(Uuid::from_u128(u128::MAX))), None);
    }
}

fn is_storable(number: f64) -> bool {
    number == 0.0 || (1e-100..1e100).contains(&number.abs())
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Number(number) => vec![number.as_f64().unwrap()],
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        Value::Object(values) => values.values().flat_map(numbers).collect(),
        Value::Null => vec![f64::NAN],
        Value::Bool(_) | Value::String(_) => Vec::new(),
    }
}

#[test]
fn a_pool_that_nobody_asks_for_long_has_no_load() {
    let mut load = Load::default();
    estimate::learn_load(&mut load, Duration::from_secs(6), NOW);
    assert!(estimate::erlangs(load, NOW + Duration::from_mins(30)) > 0.0);
    // The load halves in minutes, so after some days it was a number that no table takes.
    let later = NOW + Duration::from_hours(24 * 30);
    estimate::learn_load(&mut load, Duration::ZERO, later);
    assert_eq!(serde_json::to_value(load).unwrap()["erlangs"], 0.0);
}

#[test]
fn a_long_line_gets_a_further_worker_and_a_short_one_does_not() {
    let (settings, estimates) = (Settings::default(), Estimates::default());
    let mut pool = Pool::new(PoolId::new("default"), 2, vec!["g5.xlarge".to_owned()]);
    let workers = [worker("w", WorkerState::Busy)];
    let line = |count: u32, pool: &Pool, workers: &[Worker]| {
        let backlog: Vec<_> = (0..count)
            .map(|id| entry(u128::from(id), u64::from(id), "m", NOW))
            .collect();
        let snapshot = PoolSnapshot {
            pool,
            workers,
            backlog: &backlog,
            presence: &[],
            estimates: &estimates,
            hazard: None,
            settings: &settings,
            now: NOW,
        };
        scale::plan(&snapshot)
    };
    assert_eq!(line(3, &pool, &workers).grow, scale::Grow::No);
    assert_eq!(line(60, &pool, &workers).grow, scale::Grow::Launch);
    let mut hot = workers.clone();
    hot[0].hot_since = Some(NOW - settings.hot_for);
    assert_eq!(line(3, &pool, &hot).grow, scale::Grow::No, "a short wait needs no help");
    assert_eq!(line(8, &pool, &hot).grow, scale::Grow::Launch);
    // No offerings, no room: nothing happens, and the plan says why.
    pool.max_workers = 0;
    let plan = line(60, &pool, &workers);
    assert_eq!(
        (plan.grow, plan.reason),
        (scale::Grow::No, "the pool's limit is reached")
    );
    pool.max_workers = 9;
    pool.instance_types.clear();
    let plan = line(60, &pool, &workers);
    assert_eq!(
        (plan.grow, plan.reason),
        (scale::Grow::No, "the pool has no instance types")
    );
}
