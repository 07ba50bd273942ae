//! The simulated studio: events in order of time, and at each the very function that a Lambda would call.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use model::{
    BacklogEntry, ConnectionId, Forecast, InstanceId, Lane, Millis, Pace, Pool, PoolId, Presence, RunId, RunRef,
    Settings, StartingWorker, TaskId, TeamId, UserId, Worker, WorkerId, WorkerState,
};
use policy::{
    PoolSnapshot, breaker, claim, estimate, fair, forecast,
    presence::{self, Sign},
    reap::{self, ReapAction},
    scale::{self, Grow},
    wait,
    watch::{self, Converge, InstanceState, InstanceView},
};
use uuid::Uuid;

use crate::{
    chance::Chance,
    demand::Demand,
    signals::{Shown, Signals, millis, signs},
    stats::{Moment, Stats},
    world::World,
};

/// How a studio is run: settings and what its clients show.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its name in tables.
    pub name: String,
    /// Settings of the policies.
    pub settings: Settings,
    /// What painters' clients show.
    pub signals: Signals,
    /// Whether calls count as presence at all.
    pub presence: bool,
    /// Workers that a forecast asks for, hour by hour; none: no forecast.
    pub forecast: Option<Vec<u32>>,
    /// Workers kept up whatever happens, for comparison.
    pub always: u32,
    /// Fair order, loaded models and the best worker to wake; otherwise first come first served by whoever is free.
    pub choosing: bool,
    /// Patience, where it differs from the world's.
    pub patience_s: Option<f64>,
}

const TICK_MS: u64 = 60_000;
/// The demand's first midnight: far enough from zero for every age.
const MIDNIGHT: u64 = 30 * 86_400_000;
const HOUR_MS: u64 = 3_600_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    // At the same moment, in this order.
    Done { worker: usize, run: u64 },
    Ready { worker: usize, life: u32 },
    Stopped { worker: usize, life: u32 },
    Lost { worker: usize, life: u32 },
    Shown(usize),
    Arrives(usize),
    GivesUp(usize),
    Tick,
}

/// A worker's machine, which the policies do not see.
#[derive(Debug, Clone, Copy)]
struct Host {
    power: InstanceState,
    /// Rises with each start, so that an old start's events are known.
    life: u32,
    answers: bool,
    run: Option<(u64, usize)>,
}

struct Studio<'a> {
    demand: &'a Demand,
    world: &'a World,
    case: &'a Case,
    patience_ms: u64,
    now: Millis,
    events: BinaryHeap<Reverse<(u64, Event)>>,
    pool: Pool,
    pace: Pace,
    workers: Vec<Worker>,
    hosts: Vec<Host>,
    backlog: Vec<BacklogEntry>,
    tasks: BTreeMap<TaskId, usize>,
    flows: BTreeMap<(u32, Lane), u64>,
    presence: Vec<Presence>,
    etas: Vec<Option<Millis>>,
    runs: u64,
    starts: u64,
    names: Vec<UserId>,
    models: Vec<String>,
    stats: Stats,
}

/// Runs a case over the demand. The same arguments give the same numbers.
pub fn run(demand: &Demand, world: &World, case: &Case) -> Stats {
    let shown = signs(demand, world, case.signals);
    let models = demand
        .requests
        .iter()
        .map(|request| request.model + 1)
        .max()
        .unwrap_or(0);
    let mut studio = Studio {
        demand,
        world,
        case,
        patience_ms: millis(case.patience_s.unwrap_or(world.patience_s)),
        now: Millis(MIDNIGHT),
        events: BinaryHeap::new(),
        pool: Pool::new(PoolId::new("sim"), world.max_workers, vec!["g5.xlarge".to_owned()]),
        pace: Pace::new(PoolId::new("sim")),
        workers: Vec::new(),
        hosts: Vec::new(),
        backlog: Vec::new(),
        tasks: BTreeMap::new(),
        flows: BTreeMap::new(),
        presence: Vec::new(),
        etas: vec![None; demand.requests.len()],
        runs: 0,
        starts: 0,
        names: (0..demand.painters()).map(|n| UserId::new(format!("u{n}"))).collect(),
        models: (0..models).map(|n| format!("m{n}")).collect(),
        stats: Stats::new(demand),
    };
    if case.always > 0 {
        studio.pool.forecast = Some(Forecast {
            workers: case.always,
            until: Millis(u64::MAX),
            credit_ms: i64::MAX,
        });
    }
    for (at, request) in demand.requests.iter().enumerate() {
        studio.at(MIDNIGHT + request.at, Event::Arrives(at));
    }
    for (at, sign) in shown.iter().enumerate() {
        studio.at(MIDNIGHT + sign.at, Event::Shown(at));
    }
    let end = MIDNIGHT + demand.days * 24 * HOUR_MS;
    studio.at(MIDNIGHT, Event::Tick);
    while let Some(Reverse((at, event))) = studio.events.pop() {
        studio.now = Millis(at);
        studio.happens(event, &shown, end);
    }
    studio.finish(end)
}

impl Studio<'_> {
    fn at(&mut self, at: u64, event: Event) {
        self.events.push(Reverse((at, event)));
    }

    fn after(&mut self, seconds: f64, event: Event) {
        self.at(self.now.0 + millis(seconds), event);
    }

    fn happens(&mut self, event: Event, shown: &[Shown], end: u64) {
        match event {
            Event::Arrives(at) => self.arrives(at),
            Event::Shown(at) => self.shown(shown[at].user, shown[at].sign()),
            Event::GivesUp(at) => self.gives_up(at),
            Event::Done { worker, run } => self.done(worker, run),
            Event::Ready { worker, life } if self.hosts[worker].life == life => self.ready(worker),
            Event::Stopped { worker, life } if self.hosts[worker].life == life => self.stopped(worker),
            Event::Lost { worker, life } if self.hosts[worker].life == life => {
                self.hosts[worker].answers = false;
                self.hosts[worker].run = None;
            }
            Event::Ready { .. } | Event::Stopped { .. } | Event::Lost { .. } => {}
            Event::Tick => {
                self.tick();
                // After the last day only what still runs is seen to its end.
                if self.now.0 < end || !self.backlog.is_empty() || self.workers.iter().any(|it| it.state.is_up()) {
                    let patient = self.now.0 < end + HOUR_MS;
                    if patient {
                        self.at(self.now.0 + TICK_MS, Event::Tick);
                    }
                }
            }
        }
    }

    // ------------------------------------------------------------ painters

    fn arrives(&mut self, at: usize) {
        let request = &self.demand.requests[at];
        let (user, lane, work) = (request.user, request.lane, request.work);
        let model = self.models[request.model as usize].clone();
        self.shown(user, Sign::Ask);
        let estimate = estimate::run(&self.pace.estimates, Some(&model), work);
        let flow = self.flows.get(&(user, lane)).copied();
        let mut tags = fair::tags(self.pace.virtual_time, flow, estimate, lane);
        if !self.case.choosing {
            tags.start = self.now.0;
        }
        self.flows.insert((user, lane), tags.finish);
        let task_id = TaskId::new(Uuid::from_u128(at as u128 + 1));
        self.tasks.insert(task_id, at);
        self.backlog.push(BacklogEntry {
            task_id,
            owner: self.names[user as usize].clone(),
            team: TeamId::new("studio"),
            start_tag: tags.start,
            lane,
            model: Some(model.clone()),
            work,
            created: self.now,
            expires_at: self.now + self.case.settings.task_expiry,
            // Its painter's client polls until it is done or given up.
            seen_at: Millis(u64::MAX),
        });
        if lane != Lane::Batch {
            self.at(self.now.0 + self.patience_ms, Event::GivesUp(at));
        }
        if let Some(worker) = self.to_wake(&model) {
            self.claim(worker);
        }
        self.scale();
        let eta = wait::eta(&self.snapshot(), task_id);
        self.etas[at] = eta.map(|eta| self.now + eta.wait);
    }

    fn to_wake(&self, model: &str) -> Option<usize> {
        if self.case.choosing {
            let (workers, settings) = (&self.workers, &self.case.settings);
            let worker = scale::first_to_wake(workers, Some(model), settings, self.now)?;
            return self.workers.iter().position(|it| it.worker_id == worker.worker_id);
        }
        let ready: Vec<_> = (0..self.workers.len())
            .filter(|&it| self.workers[it].state == WorkerState::Ready)
            .collect();
        let any = Chance::new(self.world.seed, "any", self.now.0).below(ready.len());
        ready.get(any).copied()
    }

    fn shown(&mut self, user: u32, sign: Sign) {
        if !self.case.presence {
            return;
        }
        let name = &self.names[user as usize];
        let known = self.presence.iter().position(|it| it.user == *name);
        let stay = known.map(|at| &self.presence[at]);
        let Some(noted) = presence::noted(stay, &self.pool.pool, name, sign, &self.case.settings, self.now) else {
            return;
        };
        let wakes = presence::wakes(&noted, sign);
        match known {
            Some(at) => self.presence[at] = noted,
            None => self.presence.push(noted),
        }
        if wakes {
            self.scale();
        }
    }

    fn gives_up(&mut self, at: usize) {
        let id = TaskId::new(Uuid::from_u128(at as u128 + 1));
        if let Some(place) = self.backlog.iter().position(|entry| entry.task_id == id) {
            self.backlog.remove(place);
            self.stats.timed_out();
        }
    }

    // ------------------------------------------------------------ workers

    fn claim(&mut self, at: usize) {
        let worker = &self.workers[at];
        if worker.state != WorkerState::Ready || !self.hosts[at].answers {
            return;
        }
        let mut settings = self.case.settings.clone();
        if !self.case.choosing {
            settings.pass_over = std::time::Duration::ZERO;
        }
        let Some(id) = claim::choose(&self.backlog, worker, &settings, self.now)
            .first()
            .copied()
        else {
            return;
        };
        let Some(place) = self.backlog.iter().position(|entry| entry.task_id == id) else {
            return;
        };
        let entry = self.backlog.remove(place);
        let task = self.tasks[&id];
        let model = entry.model.unwrap_or_default();
        let mut chance = Chance::new(self.world.seed, "run", task as u64);
        let (low, high) = self.world.picture_s;
        let service = chance.between(low, high) * entry.work / 30.0 * self.world.service_factor;
        let missed = !worker.models.contains(&model);
        let (low, high) = self.world.load_s;
        let load = chance.between(low, high);
        self.runs += 1;
        let run = RunRef {
            task_id: id,
            run_id: RunId::new(Uuid::from_u128(u128::from(self.runs))),
        };
        let worker = &mut self.workers[at];
        worker.hot_since.get_or_insert(self.now);
        // Cannot fail: it was ready.
        let _ = worker.start(run, self.now);
        worker.models.retain(|it| *it != model);
        worker.models.insert(0, model);
        worker.models.truncate(self.world.vram_models);
        if let Some(time) = fair::advanced(self.pace.virtual_time, entry.start_tag) {
            self.pace.virtual_time = time;
        }
        let began = entry.created;
        self.stats.began(self.now.since(began), missed);
        let estimate = estimate::run(&self.pace.estimates, Some(&self.workers[at].models[0]), entry.work);
        estimate::learn_load(&mut self.pace.estimates.load, estimate, self.now);
        if let Some(eta) = self.etas[task].take() {
            self.stats.eta(eta, self.now);
        }
        self.hosts[at].run = Some((self.runs, task));
        let took = self.world.overhead_s + service + if missed { load } else { 0.0 };
        self.after(
            took,
            Event::Done {
                worker: at,
                run: self.runs,
            },
        );
    }

    fn done(&mut self, at: usize, run: u64) {
        let Some((_, task)) = self.hosts[at].run.filter(|(held, _)| *held == run) else {
            return;
        };
        self.hosts[at].run = None;
        let (demand, now) = (self.demand, self.now);
        let request = &demand.requests[task];
        let worker = &mut self.workers[at];
        let took = now.since(worker.state_since);
        if let Some(held) = worker.run {
            worker.release(held.run_id, now);
        }
        let model = &self.models[request.model as usize];
        estimate::learn_run(&mut self.pace.estimates, Some(model), request.work, took);
        self.stats.done(task, now.since(Millis(MIDNIGHT + request.at)), took);
        // The answer arrives: the client's last call about it.
        self.shown(request.user, Sign::Call);
        self.claim(at);
        let worker = &mut self.workers[at];
        if worker.state != WorkerState::Busy {
            worker.hot_since = None;
        }
    }

    fn ready(&mut self, at: usize) {
        let now = self.now;
        let worker = &mut self.workers[at];
        for state in [WorkerState::Warming, WorkerState::Ready] {
            if worker.become_state(state, now).is_err() {
                return;
            }
        }
        worker.last_seen = now;
        worker.connection = Some(ConnectionId::new("open"));
        let took = now.since(worker.up_since);
        estimate::learn(&mut self.pace.estimates.start, took.as_secs_f64() * 1000.0);
        let id = worker.worker_id.clone();
        self.pool.starting.retain(|it| it.worker_id != id);
        breaker::record(&mut self.pool.breaker, true, now);
        self.claim(at);
    }

    fn stopped(&mut self, at: usize) {
        self.hosts[at].power = InstanceState::Stopped;
        let _ = self.workers[at].become_state(WorkerState::Stopped, self.now);
        self.scale();
    }

    fn power_off(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        host.power = InstanceState::Stopping;
        host.run = None;
        let life = host.life;
        let since = self.workers[at].up_since;
        self.stats.paid(since, self.now, self.case.settings.min_billing);
        let (low, high) = self.world.stop_s;
        let takes = Chance::new(self.world.seed, "stop", self.now.0).between(low, high);
        self.after(takes, Event::Stopped { worker: at, life });
    }

    fn power_on(&mut self, at: usize) {
        self.starts += 1;
        self.stats.starts += 1;
        let mut chance = Chance::new(self.world.seed, "start", self.starts);
        let host = &mut self.hosts[at];
        host.life += 1;
        host.power = InstanceState::Up;
        host.answers = true;
        let life = host.life;
        let (start, warm_up) = (self.world.start_s, self.world.warm_up_s);
        let takes = chance.between(start.0, start.1) + chance.between(warm_up.0, warm_up.1);
        if !chance.happens(self.world.launch_fails) {
            self.after(takes, Event::Ready { worker: at, life });
        }
        if self.world.lost_per_hour > 0.0 {
            let lives = takes + chance.exponential(3600.0 / self.world.lost_per_hour);
            self.after(lives, Event::Lost { worker: at, life });
        }
    }

    // ------------------------------------------------------------ Lambdas

    fn snapshot(&self) -> PoolSnapshot<'_> {
        PoolSnapshot {
            pool: &self.pool,
            workers: &self.workers,
            backlog: &self.backlog,
            presence: &self.presence,
            estimates: &self.pace.estimates,
            settings: &self.case.settings,
            now: self.now,
        }
    }

    /// As `fleet::scale` does it: one plan at a time, and another one when a stopped instance could not be started.
    fn scale(&mut self) {
        self.heartbeats();
        let mut chance = Chance::new(self.world.seed, "capacity", self.now.0);
        for _ in 0..=self.workers.len() {
            let plan = scale::plan(&self.snapshot());
            if plan.for_forecast
                && matches!(plan.grow, Grow::Start(_) | Grow::Launch)
                && let Some(forecast) = self.pool.forecast.as_mut()
            {
                let start = estimate::start(&self.pace.estimates);
                forecast.credit_ms = forecast
                    .credit_ms
                    .saturating_sub(forecast::price(start, &self.case.settings));
            }
            let no_capacity = plan.grow != Grow::No && chance.happens(self.world.no_capacity);
            match plan.grow {
                Grow::No => return,
                Grow::Undrain(id) => {
                    let at = self.place(&id);
                    let _ = self.workers[at].become_state(WorkerState::Ready, self.now);
                    return self.claim(at);
                }
                Grow::Start(id) if no_capacity => {
                    let at = self.place(&id);
                    self.workers[at].no_capacity_at = Some(self.now);
                }
                Grow::Start(id) => {
                    let at = self.place(&id);
                    let _ = self.workers[at].become_state(WorkerState::Starting, self.now);
                    return self.brought_up(at);
                }
                Grow::Launch if no_capacity => {
                    self.pool.no_capacity_at = Some(self.now);
                    return;
                }
                Grow::Launch => {
                    let id = WorkerId::new(format!("w{}", self.workers.len()));
                    self.workers
                        .push(Worker::launching(id, self.pool.pool.clone(), self.now));
                    self.hosts.push(Host {
                        power: InstanceState::Up,
                        life: 0,
                        answers: true,
                        run: None,
                    });
                    return self.brought_up(self.workers.len() - 1);
                }
            }
        }
    }

    fn brought_up(&mut self, at: usize) {
        self.pool.starting = scale::starting(&self.pool, &self.snapshot()).cloned().collect();
        self.pool.starting.push(StartingWorker {
            worker_id: self.workers[at].worker_id.clone(),
            since: self.now,
        });
        breaker::probing(&mut self.pool.breaker, self.now);
        self.power_on(at);
    }

    fn tick(&mut self) {
        let now = self.now;
        self.heartbeats();
        for at in 0..self.workers.len() {
            self.converge(at);
        }
        self.presence.retain(|it| it.ttl > now.seconds());
        if let Some(hours) = &self.case.forecast {
            let hour = usize::try_from((now.0 - MIDNIGHT) / HOUR_MS).unwrap_or(usize::MAX);
            let (anyway, kept) = reap::kept_for_forecast(&self.snapshot());
            let tick = std::time::Duration::from_millis(TICK_MS);
            let credit_ms = self.pool.forecast.map_or(0, |it| it.credit_ms);
            self.pool.forecast = Some(Forecast {
                workers: hours.get(hour).copied().unwrap_or(0),
                until: now + std::time::Duration::from_mins(5),
                credit_ms: forecast::settled(credit_ms, tick * anyway, tick * kept),
            });
        }
        let over = self.backlog.len();
        self.backlog.retain(|entry| entry.expires_at > now);
        (self.backlog.len()..over).for_each(|_| self.stats.timed_out());
        self.scale();
        for step in reap::plan(&self.snapshot()) {
            let at = self.place(&step.worker_id);
            let to = match step.action {
                ReapAction::Drain => WorkerState::Draining,
                ReapAction::Undrain => WorkerState::Ready,
                ReapAction::Stop => WorkerState::Stopping,
            };
            let _ = self.workers[at].become_state(to, now);
            match step.action {
                ReapAction::Drain => {}
                ReapAction::Undrain => self.claim(at),
                ReapAction::Stop => self.power_off(at),
            }
        }
        let up = |wanted: fn(WorkerState) -> bool| self.workers.iter().filter(|it| wanted(it.state)).count();
        let moment = Moment {
            at: now.0 - MIDNIGHT,
            coming: up(WorkerState::is_coming),
            serving: up(|it| matches!(it, WorkerState::Ready | WorkerState::Busy | WorkerState::Draining)),
            waiting: self.backlog.len(),
            present: self
                .presence
                .iter()
                .filter(|it| presence::is_present(it, &self.case.settings, now))
                .count(),
        };
        self.stats.moments.push(moment);
    }

    /// Who answers was heard of a moment ago.
    fn heartbeats(&mut self) {
        for (worker, host) in self.workers.iter_mut().zip(&self.hosts) {
            if host.answers && host.power == InstanceState::Up {
                worker.last_seen = self.now;
            }
        }
    }

    fn converge(&mut self, at: usize) {
        let view = InstanceView {
            instance_id: InstanceId::new("i"),
            state: self.hosts[at].power,
        };
        let before = self.workers[at].state;
        match watch::converge(&self.workers[at], Some(&view), &self.case.settings, self.now) {
            Converge::Leave => {}
            Converge::Become(to) => {
                let held = self.workers[at].run.take();
                let _ = self.workers[at].become_state(to, self.now);
                if to == WorkerState::Failed {
                    if before != WorkerState::Ready && before != WorkerState::Busy && before != WorkerState::Draining {
                        breaker::record(&mut self.pool.breaker, false, self.now);
                    }
                    let id = self.workers[at].worker_id.clone();
                    self.pool.starting.retain(|it| it.worker_id != id);
                    if let Some(run) = held {
                        self.requeue(run.task_id);
                    }
                } else {
                    self.workers[at].run = held;
                }
            }
            Converge::Stop => {
                let _ = self.workers[at].become_state(WorkerState::Stopping, self.now);
                self.power_off(at);
            }
            Converge::Terminate => {
                if self.hosts[at].power == InstanceState::Up {
                    let since = self.workers[at].up_since;
                    self.stats.paid(since, self.now, self.case.settings.min_billing);
                }
                self.hosts[at].power = InstanceState::Gone;
                let _ = self.workers[at].become_state(WorkerState::Gone, self.now);
            }
        }
    }

    /// A lost run waits again, unless its painter has given up.
    fn requeue(&mut self, id: TaskId) {
        let at = self.tasks[&id];
        let request = &self.demand.requests[at];
        let created = Millis(MIDNIGHT + request.at);
        if self.now.0 > created.0 + self.patience_ms {
            self.stats.timed_out();
            return;
        }
        self.backlog.push(BacklogEntry {
            task_id: id,
            owner: self.names[request.user as usize].clone(),
            team: TeamId::new("studio"),
            start_tag: 0,
            lane: request.lane,
            model: Some(self.models[request.model as usize].clone()),
            work: request.work,
            created,
            expires_at: created + self.case.settings.task_expiry,
            seen_at: Millis(u64::MAX),
        });
    }

    fn place(&self, id: &WorkerId) -> usize {
        // A plan names workers of its snapshot.
        self.workers
            .iter()
            .position(|it| it.worker_id == *id)
            .unwrap_or_default()
    }

    fn finish(mut self, end: u64) -> Stats {
        for at in 0..self.workers.len() {
            if self.hosts[at].power == InstanceState::Up {
                let since = self.workers[at].up_since;
                self.stats.paid(
                    since,
                    Millis(end.max(self.now.0.min(end))),
                    self.case.settings.min_billing,
                );
            }
        }
        self.stats
    }
}
