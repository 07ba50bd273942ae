//! A studio's day in random order: painters, workers, messages, events and ticks on unkind tables. Each commit is
//! checked by [`crate::port`]; here is what must hold between and after them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::poll_fn,
    task::Poll,
};

use cloud::{queue::Queued, tables::Table};
use futures_util::future::join_all;
use model::{
    InstanceId, Millis, PoolId, RunId, Settings, Task, TaskId, TaskState, Usage, Worker, WorkerState,
    worker_api::{Assignment, Claimed, HeartbeatReply, Registered, RunEnded},
};
use policy::watch::InstanceState;
use serde_json::{Value, json};

use crate::support::{
    Answer, MARA, NOW, OTHER, POOL, WORKER, WORKER_2, World, claims, golden, http, minutes, painter, seconds,
    socket_event, sqs, thorough, wire,
};

/// Days in `cargo test`, and with `THOROUGH` set.
const RUNS: (u64, u64) = (24, 200);
const STEPS: u32 = 90;
const THREADS: u64 = 2;
const PAINTERS: [&str; 2] = [MARA, OTHER];
const MAX_WORKERS: u32 = 3;

// ---------------------------------------------------------------- what may happen

#[derive(Debug, Clone)]
enum Action {
    Submit { user: &'static str, key: Option<u64> },
    Poll { user: &'static str, task: TaskId },
    Cancel { user: &'static str, task: TaskId },
    Dispatch(Vec<Queued>),
    InstanceChanged(InstanceId),
    Tick,
    Reap,
    Register { host: InstanceId, event: Value },
    Call(Call),
    Say(Value),
}

/// A worker's call with the token it has.
#[derive(Debug, Clone)]
struct Call {
    host: InstanceId,
    worker: String,
    context: Value,
    operation: &'static str,
    body: Value,
    /// Nobody hears the answer.
    unheard: bool,
}

enum Effect {
    Submitted { user: &'static str, task: TaskId },
    Registered { host: InstanceId, token: Option<String> },
    Answered { call: Call, answer: Answer },
    Nothing,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(call) => write!(
                f,
                "{} {} of generation {}{}: {}",
                call.worker,
                call.operation,
                call.context["generation"],
                if call.unheard { ", unheard" } else { "" },
                call.body
            ),
            Self::Register { host, .. } => write!(f, "{host} registers"),
            Self::Say(event) => write!(f, "socket: {}", event["body"]),
            other => write!(f, "{other:?}"),
        }
    }
}

async fn perform(world: &World, action: Action, now: Millis) -> Effect {
    match action {
        Action::Submit { user, key } => {
            let mut event = http("POST /v1/generate", "", Some(&painter(user)), &wire("01_generate"));
            if let Some(key) = key {
                event["headers"]["idempotency-key"] = key.to_string().into();
            }
            let body = world.http(event, now).await.ok();
            let task = body["id"].as_str().unwrap().parse().unwrap();
            Effect::Submitted { user, task }
        }
        Action::Poll { user, task } => {
            let id = task.to_string();
            world
                .paint(user, "POST /v1/status/{id}", &id, &json!({}), now)
                .await
                .ok();
            Effect::Nothing
        }
        Action::Cancel { user, task } => {
            let id = task.to_string();
            let route = "POST /v1/cancel/{worker}/{id}";
            world.paint(user, route, &id, &json!({}), now).await.ok();
            Effect::Nothing
        }
        Action::Dispatch(messages) => {
            let bodies: Vec<_> = messages.iter().map(|it| serde_json::to_string(it).unwrap()).collect();
            let response = world.dispatch(sqs(&bodies), now).await;
            assert!(
                response.batch_item_failures.is_empty(),
                "the fleet in memory never fails"
            );
            Effect::Nothing
        }
        Action::InstanceChanged(instance) => {
            world.ec2(&instance, "running", now).await;
            Effect::Nothing
        }
        Action::Tick => {
            world.tick(now).await;
            Effect::Nothing
        }
        Action::Reap => {
            world.reap(now).await;
            Effect::Nothing
        }
        Action::Register { host, event } => {
            let answer = world.http(event, now).await;
            let token = (answer.status == 200).then(|| answer.parsed::<Registered>().token);
            Effect::Registered { host, token }
        }
        Action::Call(call) => {
            let route = format!("POST /v1/workers/{{id}}/{}", call.operation);
            let event = http(&route, &call.worker, Some(&call.context), &call.body);
            let answer = world.http(event, now).await;
            Effect::Answered { call, answer }
        }
        Action::Say(event) => {
            world.push(event, now).await;
            Effect::Nothing
        }
    }
}

/// The same, but the function is ended from outside after so many turns, wherever it is.
async fn cut_off(world: &World, action: Action, now: Millis, turns: u32) -> Effect {
    let mut work = Box::pin(perform(world, action, now));
    let mut left = turns;
    poll_fn(move |context| match work.as_mut().poll(context) {
        Poll::Pending if left == 0 => Poll::Ready(Effect::Nothing),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
        ready @ Poll::Ready(_) => ready,
    })
    .await
}

// ---------------------------------------------------------------- the studio

/// A machine and the worker's process on it.
#[derive(Debug)]
struct Host {
    worker: String,
    power: InstanceState,
    /// When the process is up, or answers again.
    silent_until: Millis,
    /// It never answers again.
    dead: bool,
    context: Option<Value>,
    ready: bool,
    run: Option<(TaskId, RunId)>,
    seq: u64,
    /// When the picture is ready.
    done_at: Millis,
    last_proof: u64,
}

/// What was seen, to know that a simulation is worth something.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    succeeded: u32,
    failed: u32,
    canceled: u32,
    expired: u32,
    requeued: u32,
    refused_results: u32,
    repeated_results: u32,
    run_lost: u32,
    old_tokens: u32,
    drained: u32,
    launches: u32,
}

struct Studio {
    world: World,
    chance: fastrand::Rng,
    now: Millis,
    hosts: BTreeMap<InstanceId, Host>,
    messages: Vec<Queued>,
    events: Vec<InstanceId>,
    tasks: BTreeMap<TaskId, &'static str>,
    said: Vec<Call>,
    /// Instances that somebody outside stopped or ended.
    taken: BTreeSet<InstanceId>,
    accepted: BTreeMap<TaskId, RunId>,
    stays: bool,
    seen: Seen,
}

impl Studio {
    async fn new(seed: u64) -> Self {
        // Idle machines stop so soon that a drain meets a claim now and then.
        let settings = Settings {
            idle_stop: seconds(45),
            ..Settings::default()
        };
        let world = World::unkind_with(seed, settings).await;
        let mut pool = world.get(&PoolId::new(POOL)).await;
        pool.max_workers = MAX_WORKERS;
        world.put(pool).await;
        let mut chance = fastrand::Rng::with_seed(seed);
        for (worker, instance) in [(WORKER, "i-a"), (WORKER_2, "i-b")] {
            // Some begin with nothing, some with stopped machines, some with two that boot.
            let (state, power) = match chance.u8(0..3) {
                0 => continue,
                1 => (WorkerState::Stopped, InstanceState::Stopped),
                _ => (WorkerState::Booting, InstanceState::Up),
            };
            world.ready(worker, instance, NOW).await;
            world.instance(instance, worker, power);
            world
                .alter_worker(worker, |it| {
                    it.state = state;
                    it.idle_since = None;
                })
                .await;
        }
        world.port.dawdle(seed);
        Self {
            world,
            chance,
            now: NOW,
            hosts: BTreeMap::new(),
            messages: Vec::new(),
            events: Vec::new(),
            tasks: BTreeMap::new(),
            said: Vec::new(),
            taken: BTreeSet::new(),
            accepted: BTreeMap::new(),
            stays: true,
            seen: Seen::default(),
        }
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.chance.u32(0..n) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.chance.usize(0..from.len())].clone())
    }

    // ------------------------------------------------------------ machines

    /// Lets machines follow what EC2 was told, and collects what is on the way.
    fn machines(&mut self) {
        for instance in self.world.instances.all() {
            let id = instance.view.instance_id;
            let mut power = instance.view.state;
            if power == InstanceState::Stopping && self.one_in(3) {
                power = InstanceState::Stopped;
                self.world.instances.set(&id, power);
            }
            let host = self.hosts.entry(id.clone()).or_insert_with(|| Host {
                worker: instance.worker_id.to_string(),
                power: InstanceState::Gone,
                silent_until: self.now,
                dead: false,
                context: None,
                ready: false,
                run: None,
                seq: 0,
                done_at: self.now,
                last_proof: 0,
            });
            if host.power != power {
                host.power = power;
                host.context = None;
                host.ready = false;
                host.run = None;
                host.silent_until = self.now + seconds(self.chance.u64(1..60));
                if power == InstanceState::Up {
                    self.taken.remove(&id);
                }
                // Told never, once or twice, at some time.
                for _ in 0..self.chance.u8(0..3) {
                    self.events.push(id.clone());
                }
            }
        }
        for message in self.world.take_queued() {
            for _ in 0..self.chance.u8(0..3) {
                self.messages.push(message.clone());
            }
        }
        self.world.memory.take_sent();
    }

    /// Somebody outside stops or ends a machine; capacity comes and goes.
    fn disturb(&mut self) {
        if self.one_in(60) {
            let up = self.hosts.iter().filter(|(_, host)| host.power == InstanceState::Up);
            let up: Vec<_> = up.map(|(id, _)| id.clone()).collect();
            if let Some(id) = self.pick(&up) {
                let to = if self.chance.bool() {
                    InstanceState::Gone
                } else {
                    InstanceState::Stopping
                };
                self.world.port.note(format!("{id} becomes {to:?} from outside"));
                self.world.instances.set(&id, to);
                self.taken.insert(id);
            }
        }
        if self.one_in(30) {
            let none = self.chance.bool();
            self.world.instances.no_capacity(none);
        }
    }

    // ------------------------------------------------------------ who does what

    fn random_action(&mut self) -> Action {
        let tasks: Vec<_> = self.tasks.iter().map(|(task, user)| (*task, *user)).collect();
        match self.chance.u8(0..100) {
            0..10 if self.tasks.len() < 12 => Action::Submit {
                user: PAINTERS[self.chance.usize(0..2)],
                key: self.one_in(3).then(|| self.chance.u64(0..4)),
            },
            10..24 => match self.pick(&tasks) {
                Some((task, user)) => Action::Poll { user, task },
                None => Action::Tick,
            },
            24..27 => match self.pick(&tasks) {
                Some((task, user)) => Action::Cancel { user, task },
                None => Action::Reap,
            },
            27..37 if !self.messages.is_empty() => {
                // In any order; some more than once, some never.
                let messages = (0..self.chance.usize(1..4)).filter_map(|_| {
                    let index = self.chance.usize(0..self.messages.len().max(1));
                    let keep = self.chance.u8(0..3) == 0;
                    let message = self.messages.get(index).cloned();
                    if !keep && index < self.messages.len() {
                        self.messages.swap_remove(index);
                    }
                    message
                });
                Action::Dispatch(messages.collect())
            }
            37..42 if !self.events.is_empty() => {
                let index = self.chance.usize(0..self.events.len());
                Action::InstanceChanged(self.events.swap_remove(index))
            }
            42..49 => Action::Tick,
            49..54 => Action::Reap,
            54..58 => match self.pick(&self.said.clone()) {
                // What was said before is said again, perhaps much later.
                Some(call) => {
                    self.seen.repeated_results += u32::from(call.operation == "result");
                    Action::Call(call)
                }
                None => Action::Reap,
            },
            _ => {
                let hosts: Vec<_> = self.hosts.keys().cloned().collect();
                match self.pick(&hosts).and_then(|id| self.host_acts(&id, false)) {
                    Some(action) => action,
                    None => Action::Tick,
                }
            }
        }
    }

    /// What a machine does next. A well-behaved one neither fails nor falls silent.
    fn host_acts(&mut self, id: &InstanceId, behaves: bool) -> Option<Action> {
        let now = self.now;
        let trouble = !behaves && self.one_in(12);
        let unheard = !behaves && self.one_in(8);
        let die = self.one_in(5);
        let silence = seconds(self.chance.u64(5..200));
        let (roll, picture) = (self.chance.u8(0..10), seconds(self.chance.u64(1..15)));
        let class = ["infrastructure", "user", "capacity"][self.chance.usize(0..3)];
        let hint = self.pick(&self.tasks.keys().copied().collect::<Vec<_>>());
        let host = self.hosts.get_mut(id)?;
        if host.power != InstanceState::Up || host.dead || host.silent_until > now {
            return None;
        }
        if trouble {
            self.world.port.note(format!("{id} is in trouble ({die})"));
            match roll {
                // The process dies and begins anew.
                0..5 => {
                    host.context = None;
                    host.ready = false;
                    host.run = None;
                }
                // It says nothing for a while and then goes on where it was; or never again.
                5..9 => host.silent_until = now + silence,
                _ => host.dead = die,
            }
            return None;
        }
        let Some(context) = host.context.clone() else {
            let date = now.seconds().max(host.last_proof + 1);
            host.last_proof = date;
            let event = registration(&host.worker, id, date);
            return Some(Action::Register {
                host: id.clone(),
                event,
            });
        };
        let mut call = Call {
            host: id.clone(),
            worker: host.worker.clone(),
            context,
            operation: "heartbeat",
            body: json!({ "ready": true }),
            unheard,
        };
        if !host.ready {
            host.ready = true;
        } else if let Some((task_id, run_id)) = host.run {
            host.seq += 1;
            let share = 0.1;
            if now >= host.done_at {
                let times = json!({ "fetch_ms": 0, "execute_ms": 1, "upload_ms": 0 });
                let offsets = [0, 10, 20];
                (call.operation, call.body) = if behaves || roll < 8 {
                    let body =
                        json!({ "task_id": task_id, "run_id": run_id, "offsets": offsets, "size": 99, "times": times });
                    ("result", body)
                } else {
                    let body = json!({ "task_id": task_id, "run_id": run_id, "class": class, "message": "No." });
                    ("failure", body)
                };
                self.said.push(call.clone());
                // It does not say so twice of its own accord, unless the answer was lost.
                if !unheard {
                    host.run = None;
                }
            } else if roll < 3 && !behaves {
                let message = json!({
                    "action": "progress", "task_id": task_id, "run_id": run_id, "seq": host.seq, "value": share,
                });
                return Some(Action::Say(socket_event(
                    "progress",
                    "c",
                    &call.context,
                    Some(&message),
                )));
            } else {
                call.body["run"] = json!({ "run_id": run_id, "seq": host.seq, "value": share });
            }
        } else if roll < 7 {
            call.operation = "claim";
            call.body = match hint {
                Some(task) if roll < 3 => json!({ "task_id": task }),
                _ => json!({}),
            };
            host.done_at = now + picture;
        }
        Some(Action::Call(call))
    }

    // ------------------------------------------------------------ what came of it

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Nothing => {}
            Effect::Submitted { user, task } => drop(self.tasks.insert(task, user)),
            Effect::Registered { host, token } => {
                if let (Some(host), Some(token)) = (self.hosts.get_mut(&host), token) {
                    host.context = Some(context_of(&token));
                    host.ready = false;
                    host.run = None;
                }
            }
            Effect::Answered { call, answer } => self.answered(&call, answer),
        }
    }

    fn answered(&mut self, call: &Call, answer: Answer) {
        if call.operation == "result" && answer.status == 200 {
            let ended: RunEnded = answer.clone().parsed();
            let task: TaskId = call.body["task_id"].as_str().unwrap().parse().unwrap();
            let run: RunId = call.body["run_id"].as_str().unwrap().parse().unwrap();
            if ended.accepted {
                let first = *self.accepted.entry(task).or_insert(run);
                if first != run {
                    self.world.port.fail("two runs of one task were accepted");
                }
            } else {
                self.seen.refused_results += 1;
                if self.accepted.get(&task) == Some(&run) {
                    self.world
                        .port
                        .fail("a result that counts was refused when it was said again");
                }
            }
        }
        self.seen.old_tokens += u32::from(answer.status == 401);
        let Some(host) = self.hosts.get_mut(&call.host) else {
            return;
        };
        // What an earlier process asked for is nothing to this one.
        if call.unheard || host.context.as_ref() != Some(&call.context) {
            return;
        }
        match answer.status {
            200 => {}
            401 => {
                host.context = None;
                return;
            }
            409 | 503 => return,
            other => panic!("{other}: {answer:?}"),
        }
        let mut assigned: Option<Assignment> = None;
        match call.operation {
            "heartbeat" => {
                let reply: HeartbeatReply = answer.parsed();
                let about = call.body["run"]["run_id"].as_str();
                let mine = host.run.map(|(_, run)| run.to_string());
                if reply.run_lost && mine.as_deref() == about {
                    self.seen.run_lost += 1;
                    host.run = None;
                }
                if reply.cancel
                    && let Some((task_id, run_id)) = host.run.take()
                {
                    let mut call = call.clone();
                    call.operation = "failure";
                    call.body = json!({ "task_id": task_id, "run_id": run_id });
                    self.said.push(call);
                }
                if let Some(token) = reply.token {
                    host.context = Some(context_of(&token));
                }
            }
            "claim" => assigned = answer.parsed::<Claimed>().assignment,
            _ => assigned = answer.parsed::<RunEnded>().assignment,
        }
        if let Some(assignment) = assigned {
            host.run = Some((assignment.task_id, assignment.run_id));
            host.seq = 0;
        }
    }

    // ------------------------------------------------------------ what must hold

    fn check(&mut self) {
        let fail = |what: String| -> ! { self.world.port.fail(&what) };
        let tasks: BTreeMap<TaskId, Task> = self.world.tasks().into_iter().map(|it| (it.task_id, it)).collect();
        let workers = self.world.workers();
        for id in self.tasks.keys() {
            if !tasks.contains_key(id) {
                fail(format!("task {id} was accepted and is not there"));
            }
        }
        if tasks.len() != self.tasks.len() {
            fail("a task is there that nobody was told of".to_owned());
        }
        let up = workers.iter().filter(|worker| worker.state.is_up()).count();
        if up > MAX_WORKERS as usize {
            fail(format!("{up} workers are up: {workers:#?}"));
        }
        let power: BTreeMap<_, _> = self
            .world
            .instances
            .all()
            .into_iter()
            .map(|it| (it.view.instance_id, it.view.state))
            .collect();
        for worker in &workers {
            let Some(instance) = &worker.instance_id else { continue };
            if worker.run.is_some() && power[instance] != InstanceState::Up && !self.taken.contains(instance) {
                fail(format!("the instance of a worker with a run was stopped: {worker:#?}"));
            }
        }
        for task in tasks.values() {
            if let Some(run) = self.accepted.get(&task.task_id) {
                let key = task.result.as_ref().map(|result| result.key.as_str());
                if key != Some(&format!("results/{}/{run}", task.task_id)) {
                    fail(format!("an accepted result is not the stored one: {task:#?}"));
                }
            }
        }
        self.seen.drained += u32::from(workers.iter().any(|it| it.state == WorkerState::Draining));
        self.check_usage(&tasks);
    }

    fn check_usage(&self, tasks: &BTreeMap<TaskId, Task>) {
        let usage: Vec<Usage> = self
            .world
            .all::<Value>(Table::Accounts)
            .into_iter()
            .filter_map(|item| serde_json::from_value(item).ok())
            .collect();
        for user in PAINTERS {
            let mine = usage.iter().filter(|usage| usage.user_id.as_str() == user);
            let (images, gpu_ms) = mine.fold((0, 0), |sum, it| (sum.0 + it.images, sum.1 + it.gpu_ms));
            let succeeded = tasks
                .values()
                .filter(|task| task.owner.as_str() == user && task.state == TaskState::Succeeded);
            let owed = succeeded.fold((0, 0), |sum, task| {
                let time = task.ended_at.unwrap().since(task.claimed_at.unwrap()).as_millis();
                (sum.0 + 3, sum.1 + u64::try_from(time).unwrap())
            });
            if (images, gpu_ms) != owed {
                self.world.port.fail(&format!(
                    "{user} used {images} pictures in {gpu_ms} ms, but owes {owed:?}"
                ));
            }
        }
    }

    // ------------------------------------------------------------ the day and its end

    async fn step(&mut self) {
        self.now = self.now
            + match self.chance.u8(0..10) {
                0..6 => seconds(self.chance.u64(0..4)),
                6..9 => seconds(self.chance.u64(2..15)),
                _ => seconds(self.chance.u64(20..70)),
            };
        self.machines();
        self.disturb();
        let mut together = Vec::new();
        for _ in 0..[1, 1, 2, 3][self.chance.usize(0..4)] {
            let action = self.random_action();
            // Some functions took their time, or their clock is behind.
            let now = if self.one_in(6) {
                self.now - seconds(self.chance.u64(0..4))
            } else {
                self.now
            };
            // A submit that is cut off may leave a task of which nobody was told; its owner would have to try again.
            let cut = self.one_in(10) && !matches!(action, Action::Submit { .. });
            let turns = if cut { self.chance.u32(0..40) } else { u32::MAX };
            let how = if cut { ", cut off" } else { "" };
            let second = now.since(NOW).as_secs();
            self.world.port.note(format!("{second:>6} {action}{how}"));
            together.push((action, now, turns));
        }
        let world = &self.world;
        let effects = together
            .into_iter()
            .map(|(action, now, turns)| cut_off(world, action, now, turns));
        let effects = join_all(effects).await;
        for effect in effects {
            self.apply(effect);
        }
    }

    async fn act(&mut self, action: Action) {
        self.world
            .port
            .note(format!("{:>6} {action}", self.now.since(NOW).as_secs()));
        let effect = Box::pin(perform(&self.world, action, self.now)).await;
        self.apply(effect);
    }

    /// One minute in which ticks go on and every machine that lives behaves; messages and events may all be lost.
    async fn minute(&mut self) {
        let unfinished = self.unfinished();
        // While somebody waits, leases must be held; afterwards a sign of life now and then is enough.
        let parts = if unfinished.is_empty() { 1 } else { 3 };
        for _ in 0..parts {
            self.now = self.now + minutes(1) / parts;
            self.machines();
            self.messages.clear();
            self.events.clear();
            let asked_for = if self.stays { unfinished.as_slice() } else { &[] };
            for task in asked_for {
                let (user, task) = (self.tasks[&task.task_id], task.task_id);
                self.act(Action::Poll { user, task }).await;
            }
            for id in self.hosts.keys().cloned().collect::<Vec<_>>() {
                if let Some(action) = self.host_acts(&id, true) {
                    self.act(action).await;
                }
            }
        }
        self.act(Action::Tick).await;
        self.act(Action::Reap).await;
    }

    fn unfinished(&self) -> Vec<Task> {
        let mut tasks = self.world.tasks();
        tasks.retain(|task| !task.state.is_terminal());
        tasks
    }

    /// Whoever stays waits for the pictures; otherwise nobody asks any more. Either way everything ends.
    async fn wind_down(&mut self) {
        self.world.instances.no_capacity(false);
        let limit = self.now + minutes(75);
        while !self.unfinished().is_empty() {
            if self.now > limit {
                let left = self.unfinished();
                let workers = self.world.workers();
                self.world
                    .port
                    .fail(&format!("these never end: {left:#?} {workers:#?}"));
            }
            self.minute().await;
        }
        self.check();
        let limit = self.now + minutes(60);
        let is_up = |worker: &Worker| !matches!(worker.state, WorkerState::Stopped | WorkerState::Gone);
        loop {
            let workers: Vec<_> = self.world.workers().into_iter().filter(is_up).collect();
            let up = self.world.instances.all();
            if workers.is_empty() && !up.iter().any(|it| it.view.state == InstanceState::Up) {
                return;
            }
            if self.now > limit {
                self.world
                    .port
                    .fail(&format!("a GPU runs for nobody: {workers:#?} {up:#?}"));
            }
            self.minute().await;
        }
    }

    async fn day(seed: u64) -> Seen {
        let mut studio = Self::new(seed).await;
        studio.stays = seed.is_multiple_of(2);
        for step in 0..STEPS {
            studio.step().await;
            if step % 10 == 0 {
                studio.check();
            }
        }
        studio.check();
        studio.wind_down().await;
        studio.check();
        studio.summary()
    }

    fn summary(&self) -> Seen {
        let mut seen = self.seen;
        for task in self.world.tasks() {
            seen.requeued += task.failures;
            match task.state {
                TaskState::Succeeded => seen.succeeded += 1,
                TaskState::Failed => seen.failed += 1,
                TaskState::Canceled => seen.canceled += 1,
                TaskState::Expired => seen.expired += 1,
                _ => {}
            }
        }
        seen.launches = self.world.instances.launches();
        seen
    }
}

fn context_of(token: &str) -> Value {
    let claims = claims(token);
    let names = ["sub", "team", "role", "iat", "generation", "pool"];
    let known = names.iter().map(|name| ((*name).to_owned(), claims[*name].clone()));
    Value::Object(known.collect())
}

/// The golden registration of another worker at another second of the day.
fn registration(worker: &str, instance: &InstanceId, date: u64) -> Value {
    let mut event = golden("claim", "register");
    let mut body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
    let noon = NOW.seconds();
    let second = date - noon + 12 * 3600;
    let (day, hour, minute) = (1 + second / 86_400, second / 3600 % 24, second / 60 % 60);
    let proof = &mut body["proof"];
    proof["x-atelier-worker"] = worker.into();
    proof["x-amz-security-token"] = format!("not-a-session-token-of-{instance}").into();
    proof["x-amz-date"] = format!("202609{day:02}T{hour:02}{minute:02}{:02}Z", second % 60).into();
    event["body"] = body.to_string().into();
    event
}

#[test]
fn nothing_goes_wrong_in_any_order() {
    // Each thread has a share of the days and lives through them side by side, since most of their time is pauses.
    let runs = if thorough() { RUNS.1 } else { RUNS.0 };
    let days = |first: u64| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let seeds = (first..runs).step_by(usize::try_from(THREADS).unwrap());
        runtime
            .unwrap()
            .block_on(join_all(seeds.map(|seed| Box::pin(Studio::day(seed)))))
    };
    let all: Vec<Seen> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|first| scope.spawn(move || days(first))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let total = |part: fn(&Seen) -> u32| all.iter().map(part).sum::<u32>();
    for (what, often) in [
        ("succeeded", total(|it| it.succeeded)),
        ("failed", total(|it| it.failed)),
        ("canceled", total(|it| it.canceled)),
        ("expired", total(|it| it.expired)),
        ("requeued", total(|it| it.requeued)),
        ("refused results", total(|it| it.refused_results)),
        ("repeated results", total(|it| it.repeated_results)),
        ("lost runs", total(|it| it.run_lost)),
        ("old tokens", total(|it| it.old_tokens)),
        ("drained", total(|it| it.drained)),
        ("launches", total(|it| it.launches)),
    ] {
        println!("{what}: {often}");
        assert!(
            often > if thorough() { 4 } else { 1 },
            "{what}: {often}; a simulation in which this does not happen shows little"
        );
    }
}
