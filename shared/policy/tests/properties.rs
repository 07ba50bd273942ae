//! What decisions are like on any snapshot, with clocks that differ and indexes that lag: total, safe, and not idle.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{collections::BTreeSet, time::Duration};

use model::{
    BacklogEntry, CancelCause, ConnectionId, Estimates, GpuUse, InstanceId, Lane, MicroUsd, Millis, Pool, PoolId,
    Presence, Run, RunId, RunRef, Settings, StartingWorker, Task, TaskId, TaskState, TeamId, UserId, Worker, WorkerId,
    WorkerState,
};
use policy::{
    PoolSnapshot, claim, coming, fair, preempt, presence,
    reap::{self, ReapAction},
    run,
    scale::{self, Grow, ScalePlan},
    start,
    watch::{self, Converge, FAILURES_BEFORE_TERMINATE, InstanceState, InstanceView},
};
use proptest::prelude::*;
use uuid::Uuid;

const NOW: Millis = Millis(1_788_264_000_000);
const GRACE: Duration = Duration::from_mins(1);

/// A failing case is printed; it belongs into a test of its own, not into a file beside this one.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

// ---------------------------------------------------------------- anything

/// Mostly around now, sometimes from a clock that is far off.
fn time() -> impl Strategy<Value = Millis> {
    prop_oneof![
        8 => (0_u64..3_600_000).prop_map(|ago| Millis(NOW.0 - ago)),
        2 => (0_u64..180_000).prop_map(|ahead| Millis(NOW.0 + ahead)),
        1 => prop_oneof![Just(Millis(0)), Just(Millis(u64::MAX)), any::<u64>().prop_map(Millis)],
    ]
}

fn state() -> impl Strategy<Value = WorkerState> {
    (0..WorkerState::ALL.len()).prop_map(|at| WorkerState::ALL[at])
}

fn held() -> RunRef {
    RunRef {
        task_id: TaskId::new(Uuid::nil()),
        run_id: RunId::new(Uuid::nil()),
    }
}

prop_compose! {
    fn worker(number: usize)(
        state in state(), state_since in time(), last_seen in time(), idle_since in proptest::option::of(time()),
        percent in proptest::option::of(0_u32..101), run in any::<bool>(), failures in 0_u32..4,
        no_capacity_at in proptest::option::weighted(0.3, time()), silent_since in proptest::option::weighted(0.2, time()),
    ) -> Worker {
        let mut worker = Worker::launching(WorkerId::new(format!("w-{number}")), PoolId::new("default"), state_since);
        worker.state = state;
        worker.last_seen = last_seen;
        worker.idle_since = idle_since;
        worker.failures = failures;
        worker.no_capacity_at = no_capacity_at;
        worker.silent_since = silent_since;
        worker.connection = Some(ConnectionId::new("open"));
        worker.gpu = percent.map(|percent| GpuUse { percent: Some(percent), ..GpuUse::default() });
        // Mostly as it should be; an index may show anything.
        worker.run = (state == WorkerState::Busy || (run && state == WorkerState::Draining)).then(held);
        worker
    }
}

prop_compose! {
    fn entry()(
        id in any::<u128>(), start_tag in prop_oneof![0_u64..5, any::<u64>()],
        lane in prop_oneof![Just(Lane::Live), Just(Lane::Interactive), Just(Lane::Batch)],
        work in any::<f64>(), created in time(), expires_at in time(), seen_at in time(),
    ) -> BacklogEntry {
        BacklogEntry {
            task_id: TaskId::new(Uuid::from_u128(id)),
            owner: UserId::new("mara"),
            team: TeamId::new("studio"),
            start_tag,
            lane,
            model: None,
            failed_on: None,
            work,
            created,
            expires_at,
            seen_at,
        }
    }
}

prop_compose! {
    fn pool()(
        max_workers in 0_u32..5, types in 0_usize..3, no_capacity_at in proptest::option::of(time()),
        starting in proptest::collection::vec((0_usize..8, time()), 0..3),
    ) -> Pool {
        Pool {
            starting: starting
                .into_iter()
                .map(|(number, since)| StartingWorker { worker_id: WorkerId::new(format!("w-{number}")), since })
                .collect(),
            no_capacity_at,
            ..Pool::new(PoolId::new("default"), max_workers, vec!["g6.xlarge".to_owned(); types])
        }
    }
}

prop_compose! {
    fn stay()(
        since in time(), at in time(), asked_at in proptest::option::of(time()), watched in any::<bool>(),
    ) -> Presence {
        let (pool, user) = (PoolId::new("default"), UserId::new("mara"));
        Presence { pool, user, version: 1, since, at, asked_at, watched, ttl: 0 }
    }
}

#[derive(Debug, Clone)]
struct World {
    pool: Pool,
    workers: Vec<Worker>,
    backlog: Vec<BacklogEntry>,
    presence: Vec<Presence>,
    estimates: Estimates,
    settings: Settings,
    now: Millis,
}

impl World {
    fn snapshot(&self) -> PoolSnapshot<'_> {
        PoolSnapshot {
            pool: &self.pool,
            workers: &self.workers,
            backlog: &self.backlog,
            presence: &self.presence,
            estimates: &self.estimates,
            hazard: None,
            settings: &self.settings,
            now: self.now,
        }
    }

    fn worker(&self, id: &WorkerId) -> &Worker {
        self.workers.iter().find(|worker| worker.worker_id == *id).unwrap()
    }

    fn alive(&self, worker: &Worker) -> bool {
        worker.silent_since.is_none() && self.now.since(worker.last_seen) < self.settings.worker_silent
    }

    /// On its way, and not so late that nobody counts on it: 2 × 2 min, as nothing has been learned.
    fn comes(&self, worker: &Worker) -> bool {
        worker.state.is_coming() && self.now.since(worker.up_since) < Duration::from_mins(4)
    }

    fn somebody_is_present(&self, at: Millis) -> bool {
        self.presence
            .iter()
            .any(|stay| presence::keeps_worker(stay, &self.settings, at))
    }
}

prop_compose! {
    fn world()(
        pool in pool(),
        workers in (0_usize..6).prop_flat_map(|count| (0..count).map(worker).collect::<Vec<_>>()),
        backlog in proptest::collection::vec(entry(), 0..4),
        presence in proptest::collection::vec(stay(), 0..3),
        now in prop_oneof![9 => Just(NOW), 1 => time()],
    ) -> World {
        let (settings, estimates) = (Settings::default(), Estimates::default());
        World { pool, workers, backlog, presence, estimates, settings, now }
    }
}

/// Somebody waits for this task: as the design says it, not as the code does.
fn somebody_waits(entry: &BacklogEntry, now: Millis) -> bool {
    let asked = now.0.saturating_sub(entry.seen_at.0) < 60_000;
    entry.expires_at.0 > now.0 && (asked || entry.lane == Lane::Batch)
}

// ---------------------------------------------------------------- claim

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn the_choice_is_in_order_whole_and_without_what_expired(
        backlog in proptest::collection::vec(entry(), 0..12), worker in worker(1), now in time(),
    ) {
        let chosen = claim::choose(&backlog, &worker, &Estimates::default(), &Settings::default(), now);
        let place = |id: &TaskId| {
            let entry = backlog.iter().find(|entry| entry.task_id == *id).unwrap();
            (entry.start_tag, entry.lane == Lane::Batch, entry.task_id)
        };
        prop_assert!(chosen.iter().map(place).is_sorted());
        let live = backlog.iter().filter(|entry| entry.expires_at > now).map(|entry| entry.task_id);
        prop_assert_eq!(chosen.iter().copied().collect::<BTreeSet<_>>(), live.collect::<BTreeSet<_>>());
        // The order in which an index lists them is no reason.
        let mut turned = backlog.clone();
        turned.reverse();
        prop_assert_eq!(claim::choose(&turned, &worker, &Estimates::default(), &Settings::default(), now), chosen);
    }
}

// ---------------------------------------------------------------- scale

proptest! {
    #![proptest_config(cases(3000))]

    #[test]
    fn a_plan_grows_only_for_somebody_and_within_limits(world in world()) {
        let snapshot = world.snapshot();
        let plan = scale::plan(&snapshot);
        prop_assert_eq!(&plan, &scale::plan(&snapshot), "the same snapshot, the same plan");
        prop_assert!(!plan.reason.is_empty());

        for id in &plan.wake {
            prop_assert_eq!(world.worker(id).state, WorkerState::Ready);
        }
        // All that are ready, as far as anybody knows; not those whose silence has just cost them a run.
        let ready = |worker: &&Worker| worker.state == WorkerState::Ready && worker.silent_since.is_none();
        let woken = if world.backlog.is_empty() { 0 } else { world.workers.iter().filter(ready).count() };
        prop_assert_eq!(plan.wake.len(), woken);

        if plan.grow == Grow::No {
            return Ok(());
        }
        let waits = world.backlog.iter().any(|entry| somebody_waits(entry, world.now));
        prop_assert!(waits || world.somebody_is_present(world.now), "for nobody");
        let serves = |worker: &Worker| matches!(worker.state, WorkerState::Ready | WorkerState::Busy) && world.alive(worker);
        prop_assert!(waits || !world.workers.iter().any(serves), "one is enough for whoever is only present");
        prop_assert!(!world.workers.iter().any(|worker| world.comes(worker)), "somebody is coming");
        let started = |it: &&StartingWorker| world.now.since(it.since) < Duration::from_mins(4);
        prop_assert_eq!(coming::starting(&world.pool, &snapshot).filter(started).count(), 0, "somebody was started");
        if let Grow::Undrain(id) = &plan.grow {
            prop_assert_eq!(world.worker(id).state, WorkerState::Draining);
            prop_assert!(world.alive(world.worker(id)));
            return Ok(());
        }
        let up = world.workers.iter().filter(|worker| worker.state.is_up()).count();
        prop_assert!(up < world.pool.max_workers as usize, "the pool is full");
        let pause = world.settings.capacity_pause;
        let rested = |at: Option<Millis>| at.is_none_or(|at| world.now.since(at) >= pause);
        // Each that found no capacity is left alone for a while.
        let startable = |worker: &Worker| worker.state == WorkerState::Stopped && rested(worker.no_capacity_at);
        match &plan.grow {
            Grow::Start(id) => prop_assert!(startable(world.worker(id))),
            Grow::Launch => {
                prop_assert!(!world.pool.instance_types.is_empty());
                prop_assert!(rested(world.pool.no_capacity_at), "there is none to be had");
                prop_assert!(!world.workers.iter().any(startable), "a stopped instance comes before a new one");
            }
            Grow::No | Grow::Undrain(_) => unreachable!(),
        }
    }

    #[test]
    fn work_that_somebody_waits_for_is_never_left_alone(world in world(), entry in entry()) {
        let mut world = World { now: NOW, ..world };
        world.backlog.push(BacklogEntry { expires_at: NOW + Duration::from_secs(1), seen_at: NOW, ..entry });
        let snapshot = world.snapshot();
        let ScalePlan { grow, .. } = scale::plan(&snapshot);
        if grow != Grow::No {
            return Ok(());
        }
        // Then there is a reason that passes, or that an operator chose.
        let serves = |worker: &Worker| matches!(worker.state, WorkerState::Ready | WorkerState::Busy) && world.alive(worker);
        let stopping = |worker: &Worker| worker.state == WorkerState::Stopping;
        let up = world.workers.iter().filter(|worker| worker.state.is_up()).count();
        let stopped = world.workers.iter().any(|worker| worker.state == WorkerState::Stopped);
        prop_assert!(
            world.workers.iter().any(|worker| serves(worker) || worker.state.is_coming() || stopping(worker))
                || coming::starting(&world.pool, &snapshot).next().is_some()
                || world.pool.no_capacity_at.is_some()
                || world.workers.iter().any(|worker| worker.no_capacity_at.is_some())
                || up >= world.pool.max_workers as usize
                || (world.pool.instance_types.is_empty() && !stopped)
        );
    }

    #[test]
    fn a_plan_that_was_won_holds_the_next_one_back(world in world()) {
        let mut world = world;
        for worker in &mut world.workers {
            // A stop by a clock ahead of the planner's is told apart by the consistent read before a start.
            worker.state_since = worker.state_since.min(world.now);
        }
        let id = match scale::plan(&world.snapshot()).grow {
            Grow::Start(id) => id,
            Grow::Launch => WorkerId::new("w-new"),
            Grow::No | Grow::Undrain(_) => return Ok(()),
        };
        // What a planner that won writes down; the index shows nothing of it yet.
        world.pool = start::won(&world.snapshot(), &scale::plan(&world.snapshot()), &id);
        for later in [0, 1, 60, 239] {
            let mut later = World { now: world.now + Duration::from_secs(later), ..world.clone() };
            for entry in &mut later.backlog {
                entry.seen_at = later.now;
            }
            let grow = scale::plan(&later.snapshot()).grow;
            prop_assert!(!matches!(grow, Grow::Start(_) | Grow::Launch), "{grow:?}");
        }
    }

    #[test]
    fn only_who_answers_is_woken_for_a_new_task(world in world()) {
        let woken = scale::first_to_wake(&world.workers, Some("m"), &Estimates::default(), &world.settings, world.now);
        let free = |worker: &Worker| worker.state == WorkerState::Ready && world.alive(worker);
        prop_assert_eq!(woken.is_some(), world.workers.iter().any(free));
        prop_assert!(woken.is_none_or(free));
    }

    #[test]
    fn whoever_waits_is_told_something(workers in (0_usize..6).prop_flat_map(|count| (0..count).map(worker).collect::<Vec<_>>())) {
        let note = scale::note(&workers, None);
        prop_assert!(note.ends_with('.'));
        // What happens goes before why nothing does.
        let idle = scale::note(&[], None);
        prop_assert_eq!(scale::note(&workers, Some("Paused.")), if note == idle { "Paused." } else { note });
        let coming = workers.iter().any(|worker| worker.state.is_coming());
        prop_assert!(coming || !note.contains("waking up"));
    }
}

// ---------------------------------------------------------------- reap

proptest! {
    #![proptest_config(cases(3000))]

    #[test]
    fn only_an_idle_worker_drains_and_only_a_drained_one_stops(world in world()) {
        let steps = reap::plan(&world.snapshot());
        let names: BTreeSet<_> = steps.iter().map(|step| &step.worker_id).collect();
        prop_assert_eq!(names.len(), steps.len(), "one step a worker");
        let waits = world.backlog.iter().any(|entry| somebody_waits(entry, world.now));
        for step in &steps {
            let worker = world.worker(&step.worker_id);
            let worked_at = worker.worked_at.map_or(worker.up_since, |at| at.max(worker.up_since));
            let strange = world.now.since(worked_at) >= world.settings.dead_man;
            let quiet = strange || worker.gpu.and_then(|gpu| gpu.percent).is_none_or(|percent| percent < 5);
            match step.action {
                ReapAction::Drain => {
                    prop_assert_eq!(worker.state, WorkerState::Ready);
                    let idle = world.now.since(worker.idle_since.unwrap());
                    let settings = &world.settings;
                    let early = settings.drain_confirm * 6 / 5;
                    prop_assert!(idle + early >= settings.idle_watched);
                    // The first worker stays for whoever is present, but not for ever.
                    let only = world.workers.iter().filter(|it| it.state.is_up()).count() == 1;
                    let present = world.somebody_is_present(world.now + early);
                    prop_assert!(!only || !present || idle + early >= settings.idle_stop);
                    prop_assert!(worker.run.is_none() && quiet && !waits);
                }
                ReapAction::Stop => {
                    prop_assert_eq!(worker.state, WorkerState::Draining);
                    let drained = world.now.since(worker.state_since);
                    prop_assert!(drained >= world.settings.drain_confirm);
                    prop_assert!(worker.run.is_none() && quiet && !waits);
                }
                ReapAction::Undrain => {
                    prop_assert_eq!(worker.state, WorkerState::Draining);
                    let idle = world.now.since(worker.idle_since.unwrap_or(world.now));
                    prop_assert!(waits || !quiet || idle < world.settings.idle_stop);
                }
            }
        }
    }

    #[test]
    fn nobody_idles_for_ever(world in world(), percent in proptest::option::of(0_u32..5)) {
        let mut world = World { backlog: Vec::new(), now: NOW, ..world };
        for worker in &mut world.workers {
            worker.state = WorkerState::Ready;
            worker.run = None;
            worker.idle_since = Some(NOW - world.settings.idle_stop);
            worker.up_since = NOW - world.settings.idle_stop;
            worker.gpu = percent.map(|percent| GpuUse { percent: Some(percent), ..GpuUse::default() });
        }
        let steps = reap::plan(&world.snapshot());
        prop_assert!(steps.len() == world.workers.len() && steps.iter().all(|step| step.action == ReapAction::Drain));
        for worker in &mut world.workers {
            worker.state = WorkerState::Draining;
            worker.state_since = NOW;
        }
        world.now = NOW + world.settings.drain_confirm;
        let steps = reap::plan(&world.snapshot());
        prop_assert!(steps.len() == world.workers.len() && steps.iter().all(|step| step.action == ReapAction::Stop));
    }
}

// ---------------------------------------------------------------- watch

fn power() -> impl Strategy<Value = Option<InstanceState>> {
    proptest::option::of(prop_oneof![
        Just(InstanceState::Up),
        Just(InstanceState::Stopping),
        Just(InstanceState::Stopped),
        Just(InstanceState::Gone),
    ])
}

fn view(state: InstanceState) -> InstanceView {
    InstanceView {
        instance_id: InstanceId::new("i-0"),
        state,
    }
}

proptest! {
    #![proptest_config(cases(4000))]

    #[test]
    fn converging_follows_the_state_machine(worker in worker(1), power in power(), now in time()) {
        let settings = Settings::default();
        let view = power.map(view);
        let step = watch::converge(&worker, view.as_ref(), &settings, now);
        match step {
            Converge::Leave => {}
            Converge::Miss => prop_assert!(power.is_none() && worker.missing_since.is_none()),
            Converge::Become(to) => {
                prop_assert!(worker.state.may_become(to), "{:?} cannot become {to:?}", worker.state);
            }
            Converge::Stop => prop_assert_eq!(power, Some(InstanceState::Up), "only what runs is stopped"),
            Converge::Terminate => {
                prop_assert!(power.is_some() && power != Some(InstanceState::Gone));
                let failed_again = worker.failures >= FAILURES_BEFORE_TERMINATE
                    && matches!((worker.state, power), (WorkerState::Failed, _) | (WorkerState::Stopped, Some(InstanceState::Stopped)));
                let spare = (worker.state, power) == (WorkerState::Stopped, Some(InstanceState::Stopped))
                    && worker.no_capacity_at.is_some()
                    && now.since(worker.state_since) >= Duration::from_hours(24);
                prop_assert!(worker.state == WorkerState::Gone || failed_again || spare);
            }
        }
        if worker.state_since > now {
            prop_assert_eq!(step, Converge::Leave, "EC2 was asked before this state");
        }
        if power.is_none() && now.since(worker.state_since) < GRACE {
            prop_assert_eq!(step, Converge::Leave, "EC2's descriptions lag");
        }
    }

    #[test]
    fn a_healthy_worker_is_left_alone(
        worker in worker(1),
        state in prop_oneof![Just(WorkerState::Ready), Just(WorkerState::Busy), Just(WorkerState::Draining)],
    ) {
        let worker = Worker { state, last_seen: NOW, ..worker };
        let step = watch::converge(&worker, Some(&view(InstanceState::Up)), &Settings::default(), NOW);
        prop_assert_eq!(step, Converge::Leave);
    }

    #[test]
    fn converging_settles(worker in worker(1), power in power()) {
        // Nothing but ticks from now on: after some steps there is nothing more to do.
        let settings = Settings::default();
        let (mut worker, mut power, mut now) = (worker, power, NOW);
        worker.state_since = worker.state_since.min(NOW);
        worker.last_seen = worker.last_seen.min(NOW);
        let mut steps = 0;
        for _ in 0..40 {
            now = now + Duration::from_mins(1);
            let view = power.map(view);
            let step = watch::converge(&worker, view.as_ref(), &settings, now);
            steps += u32::from(step != Converge::Leave);
            match step {
                Converge::Leave => {}
                Converge::Miss => worker.missing_since = Some(now),
                Converge::Become(to) => {
                    worker.run = None;
                    worker.become_state(to, now).unwrap();
                }
                Converge::Stop => {
                    if worker.state == WorkerState::Failed {
                        worker.become_state(WorkerState::Stopping, now).unwrap();
                    }
                    power = Some(InstanceState::Stopped);
                }
                Converge::Terminate => {
                    let _ = worker.become_state(WorkerState::Gone, now);
                    power = Some(InstanceState::Gone);
                }
            }
        }
        prop_assert!(steps < 8, "{steps} steps");
        // Nobody answers, so nothing runs any more.
        prop_assert!(power != Some(InstanceState::Up) || worker.state == WorkerState::Gone, "{worker:?}");
        let off = matches!(worker.state, WorkerState::Stopped | WorkerState::Gone) || power == Some(InstanceState::Stopping);
        prop_assert!(off, "{:?} with {power:?}", worker.state);
    }
}

fn task(state: TaskState, lane: Lane, expires_at: Millis, seen_at: Millis) -> Task {
    let id = TaskId::new(Uuid::nil());
    let held = matches!(state, TaskState::Running | TaskState::Canceling);
    Task {
        task_id: id,
        version: 1,
        owner: UserId::new("mara"),
        team: TeamId::new("studio"),
        pool: PoolId::new("default"),
        backlog: None,
        start_tag: 0,
        lane,
        document: None,
        kind: None,
        state,
        model: None,
        work: 1.0,
        reserved: MicroUsd::default(),
        cost: MicroUsd::default(),
        created: NOW,
        expires_at,
        seen_at,
        eta: None,
        run: held.then(|| Run {
            run_id: RunId::new(Uuid::nil()),
            worker_id: WorkerId::new("w-1"),
            claimed_at: NOW,
            generation: Some(1),
            lease_until: NOW + Duration::from_secs(30),
            deadline: NOW + Duration::from_mins(5),
            seq: 0,
            progress: 0.0,
        }),
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

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn a_task_expires_in_its_time_or_when_nobody_asks_for_it(
        at in 0..TaskState::ALL.len(), expires_at in time(), seen_at in time(), now in time(),
        lane in prop_oneof![Just(Lane::Live), Just(Lane::Interactive), Just(Lane::Batch)],
    ) {
        let settings = Settings::default();
        let task = task(TaskState::ALL[at], lane, expires_at, seen_at);
        let gone = now.since(seen_at) >= settings.owner_gone;
        let wanted = match task.state {
            TaskState::Queued => now >= expires_at || (gone && lane != Lane::Batch),
            // A picture that is being painted is finished, whoever looks away.
            TaskState::Running => now >= expires_at,
            _ => false,
        };
        prop_assert_eq!(watch::expiry(&task, &settings, now), wanted.then_some(CancelCause::Expired));
    }

    #[test]
    fn a_run_that_is_lost_stays_lost(at in 0..TaskState::ALL.len(), now in time(), later in 0_u64..1_000_000) {
        let settings = Settings::default();
        let task = task(TaskState::ALL[at], Lane::Live, NOW, NOW);
        let lost = watch::run_lost(&task, &settings, now);
        prop_assert!(task.run.is_some() || !lost);
        prop_assert!(!lost || watch::run_lost(&task, &settings, now + Duration::from_millis(later)));
    }
}

#[test]
fn a_lease_ends_after_its_last_moment_and_a_deadline_a_lease_later() {
    let settings = Settings::default();
    let mut task = task(TaskState::Running, Lane::Live, NOW, NOW);
    let second = Duration::from_secs(1);
    let run = task.run.clone().unwrap();
    assert!(!watch::run_lost(&task, &settings, run.lease_until));
    assert!(watch::run_lost(
        &task,
        &settings,
        run.lease_until + Duration::from_millis(1)
    ));
    task.run.as_mut().unwrap().lease_until = Millis(u64::MAX);
    let limit = run.deadline + settings.lease;
    assert!(!watch::run_lost(&task, &settings, limit));
    assert!(watch::run_lost(&task, &settings, limit + second));
}

// ---------------------------------------------------------------- preempt

/// A task with a run of its own, begun then.
fn run_of(number: u128, lane: Lane, claimed_at: Millis) -> Task {
    let mut task = task(TaskState::Running, lane, NOW + GRACE, NOW);
    task.task_id = TaskId::new(Uuid::from_u128(number));
    task.claimed_at = Some(claimed_at);
    let run = task.run.as_mut().unwrap();
    (run.run_id, run.claimed_at) = (RunId::new(Uuid::from_u128(number)), claimed_at);
    // A minute by the first guess.
    task.work = 300.0;
    task
}

prop_compose! {
    fn running()(
        number in 0_u128..1000, at in 0..TaskState::ALL.len(), claimed_at in time(), preempted in 0_u64..12, work in any::<f64>(),
        lane in prop_oneof![1 => Just(Lane::Live), 1 => Just(Lane::Interactive), 4 => Just(Lane::Batch)], start_tag in 0_u64..5,
        usual in proptest::bool::weighted(0.8),
    ) -> Task {
        let mut task = run_of(number, lane, claimed_at);
        (task.preempted, task.start_tag) = (preempted, start_tag);
        if !usual {
            (task.state, task.work) = (TaskState::ALL[at], work);
        }
        task
    }
}

proptest! {
    #![proptest_config(cases(3000))]

    #[test]
    fn only_a_batch_run_within_its_bounds_gives_way_and_only_to_who_finds_nobody_free(
        world in world(), running in proptest::collection::vec(running(), 0..6),
    ) {
        let snapshot = world.snapshot();
        let waiting = preempt::waiting(&snapshot);
        let free = world.workers.iter().filter(|it| it.state == WorkerState::Ready && world.alive(it)).count();
        let wanted = world.backlog.iter().filter(|it| somebody_waits(it, world.now)).count();
        prop_assert!(waiting.len() <= wanted.saturating_sub(free), "a free worker is there");
        for entry in &waiting {
            prop_assert!(somebody_waits(entry, world.now) && entry.lane != Lane::Batch);
        }
        let chosen = preempt::choose(&waiting, &running, &snapshot);
        prop_assert!(chosen.len() <= waiting.len());
        for (at, taken) in chosen.iter().enumerate() {
            let of = |it: &&Task| it.task_id == taken.task_id && it.state == TaskState::Running && it.lane == Lane::Batch;
            let mut tasks = running.iter().filter(of);
            prop_assert!(tasks.any(|it| it.preempted < world.settings.preemptions && it.run.as_ref().is_some_and(|run| run.run_id == taken.run_id)));
            prop_assert!(waiting.iter().any(|it| it.start_tag < taken.start_tag || it.start_tag == u64::MAX));
            let twice = running.iter().filter(|it| it.task_id == taken.task_id).count();
            let before = chosen[..at].iter().filter(|it| it.task_id == taken.task_id).count();
            prop_assert!(before < twice, "one run for two");
        }
    }

    #[test]
    fn whoever_gives_way_has_its_turn_a_length_later(tag in 0_u64..100, own in 0_u64..100, sibling in 0_u64..100) {
        let (mut world, entry) = one_waits_while_two_render(tag);
        let mut later = entry.clone();
        (later.task_id, later.lane, later.start_tag) = (TaskId::new(Uuid::from_u128(9)), Lane::Batch, sibling);
        world.backlog.push(later.clone());
        let mut task = run_of(1, Lane::Batch, NOW);
        task.start_tag = own.min(sibling);
        let snapshot = world.snapshot();
        let chosen = preempt::choose(&preempt::waiting(&snapshot), std::slice::from_ref(&task), &snapshot);
        // Who is behind waiting tasks of the batch lane takes nothing back.
        prop_assert_eq!(chosen.len(), usize::from(tag <= sibling));
        for taken in chosen {
            run::preempted(&mut task, None, taken.run_id, taken.start_tag, NOW).unwrap();
            prop_assert_eq!((task.state, task.failures, task.unpaid_ms), (TaskState::Queued, 0, 0));
            prop_assert_eq!((task.preempted, &task.failed_on), (1, &None));
            // A minute at the weight of batch; meanwhile four minutes of interactive ones may come first.
            prop_assert_eq!(task.start_tag, tag.max(own.min(sibling)) + 60_000 * fair::UNITS_PER_MS);
        }
    }
}

/// Somebody with this place in line, and two workers that render.
fn one_waits_while_two_render(start_tag: u64) -> (World, BacklogEntry) {
    let busy = |number| {
        let mut worker = Worker::launching(WorkerId::new(format!("w-{number}")), PoolId::new("default"), NOW);
        (worker.state, worker.last_seen, worker.run) = (WorkerState::Busy, NOW, Some(held()));
        worker
    };
    let entry = BacklogEntry {
        start_tag,
        lane: Lane::Interactive,
        ..BacklogEntry::from(&task(TaskState::Queued, Lane::Interactive, NOW + GRACE, NOW))
    };
    let world = World {
        pool: Pool::new(PoolId::new("default"), 2, vec![]),
        workers: vec![busy(1), busy(2)],
        backlog: vec![entry.clone()],
        presence: vec![],
        estimates: Estimates::default(),
        settings: Settings::default(),
        now: NOW,
    };
    (world, entry)
}

#[test]
fn the_run_begun_last_gives_way_unless_it_is_about_to_end_or_did_too_often() {
    let (mut world, entry) = one_waits_while_two_render(0);
    let ago = |seconds| NOW - Duration::from_secs(seconds);
    let choose = |world: &World, tasks: &[Task]| {
        let snapshot = world.snapshot();
        let chosen = preempt::choose(&preempt::waiting(&snapshot), tasks, &snapshot);
        let numbers = chosen.iter().map(|it| it.task_id.to_string().chars().last().unwrap());
        numbers.collect::<String>()
    };
    let mut tasks = [
        run_of(1, Lane::Batch, ago(30)),
        run_of(2, Lane::Batch, ago(10)),
        run_of(3, Lane::Interactive, ago(2)),
    ];
    assert_eq!(choose(&world, &tasks), "2", "least is lost of it");
    world.backlog.push(BacklogEntry {
        task_id: TaskId::new(Uuid::from_u128(9)),
        ..entry
    });
    assert_eq!(choose(&world, &tasks), "21", "one for each");
    tasks[1].preempted = world.settings.preemptions;
    assert_eq!(choose(&world, &tasks), "1");
    tasks[0].claimed_at = Some(ago(59));
    tasks[0].run.as_mut().unwrap().claimed_at = ago(59);
    assert_eq!(choose(&world, &tasks), "1", "a second is left");
    tasks[0].run.as_mut().unwrap().claimed_at = ago(60);
    assert_eq!(choose(&world, &tasks), "");
    tasks[1].preempted = 0;
    for state in [WorkerState::Ready, WorkerState::Draining] {
        let mut free = world.workers[0].clone();
        (free.state, free.run) = (state, None);
        world.workers.push(free);
        let left = if world.workers.len() == 3 { "2" } else { "" };
        assert_eq!(choose(&world, &tasks), left, "somebody is free");
    }
    world.workers.truncate(2);
    world.settings.preemptions = 0;
    assert_eq!(choose(&world, &tasks), "", "never");
}
