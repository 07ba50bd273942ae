//! What machines and the workers on them do.

use model::{ConnectionId, Outcome, Run, RunId, RunRef, RunTimes, TaskResult, WorkerState, worker_api::Source};
use policy::{claim, demand, estimate, learn, presence::Sign, run, watch::InstanceState};
use uuid::Uuid;

use super::{
    disk,
    studio::{Event, Studio},
};
use crate::{chance::Chance, signals::millis};

/// Models besides the most wanted one that a machine begins with, as many as `claim` offers.
const USUAL: usize = 6;

impl Studio<'_> {
    /// A worker asks for work.
    pub(super) fn claim(&mut self, at: usize) {
        let now = self.now;
        let host = &self.hosts[at];
        if self.workers[at].state != WorkerState::Ready || !host.answers || host.interrupts {
            return;
        }
        self.tell_disk(at);
        let worker = &mut self.workers[at];
        let mut settings = self.case.settings.clone();
        if !self.case.choosing {
            settings.pass_over = std::time::Duration::ZERO;
        }
        let chosen = claim::choose(&self.backlog, worker, &self.pace.estimates, &settings, now);
        let Some((task_id, (number, task))) = chosen.first().and_then(|id| Some((*id, self.tasks.get_mut(id)?))) else {
            return;
        };
        self.runs += 1;
        let run_id = RunId::new(Uuid::from_u128(u128::from(self.runs)));
        let estimates = &self.pace.estimates;
        let held = Run {
            run_id,
            worker_id: worker.worker_id.clone(),
            claimed_at: now,
            generation: Some(1),
            lease_until: now + settings.lease,
            deadline: now
                + estimate::limit(estimates, task.model.as_deref(), task.work, &settings)
                + policy::load::fetch_limit(task.model.as_deref()),
            seq: 0,
            progress: 0.0,
        };
        if task.start(held).is_err() || worker.start(RunRef { task_id, run_id }, now).is_err() {
            return;
        }
        worker.heard(now);
        worker.hot_since.get_or_insert(now);
        let model = task.model.clone().unwrap_or_default();
        let missed = !worker.models.contains(&model);
        worker.models.retain(|it| *it != model);
        worker.models.insert(0, model);
        worker.models.truncate(self.world.vram_models);
        let wanted = self.demand.requests[*number].model;
        let bytes = self.world.files.map(|files| files.bytes(wanted));
        learn::claimed(&mut self.pace, task, bytes, now);
        if let Some(eta) = self.etas[*number].take() {
            self.stats.eta(eta, now);
        }
        let mut chance = Chance::new(self.world.seed, "run", *number as u64);
        let (low, high) = self.world.picture_s;
        let service = chance.between(low, high) * task.work / 30.0 * self.world.service_factor;
        let (low, high) = self.world.load_s;
        let mut load = chance.between(low, high);
        let host = &mut self.hosts[at];
        let mut fetched = false;
        host.reads.clear();
        if let Some(files) = &self.world.files {
            let is_there = host.disk.has(wanted, now.0);
            if missed {
                (host.reads, load) = disk::reads(files, wanted, is_there, &mut chance);
                fetched = !is_there;
            }
            host.disk.put(wanted, now.0, files);
        }
        let load = if missed { load } else { 0.0 };
        self.stats.began(now.since(task.created), missed, fetched, load);
        let took = self.world.overhead_s + service + load;
        self.backlog.retain(|entry| entry.task_id != task_id);
        self.hosts[at].run = Some(self.runs);
        let (worker, run) = (at, self.runs);
        self.after(took, Event::Done { worker, run });
    }

    /// A worker delivers, and asks for more.
    pub(super) fn done(&mut self, at: usize, run: u64) {
        if self.hosts[at].run != Some(run) {
            return;
        }
        self.hosts[at].run = None;
        let now = self.now;
        let worker = &mut self.workers[at];
        let Some(held) = worker.run else { return };
        let Some((number, mut task)) = self.tasks.remove(&held.task_id) else {
            return;
        };
        let result = TaskResult {
            key: String::new(),
            offsets: vec![0],
            size: 1,
            lora_warning: false,
            pose: None,
            ..TaskResult::default()
        };
        let outcome = Outcome::Succeeded(result, RunTimes::default());
        // Cannot be refused: whatever takes a run from a task takes it from its host, too.
        let _ = run::end(&mut task, Some(worker), held.run_id, outcome, now);
        let reads = std::mem::take(&mut self.hosts[at].reads);
        learn::finished(&mut self.pace, &task, &reads, now);
        self.stats.done(number, now.since(task.created), task.run_time());
        // The answer arrives: the client's last call about it.
        self.shown(self.demand.requests[number].user, Sign::Call);
        self.claim(at);
        let worker = &mut self.workers[at];
        if worker.state != WorkerState::Busy {
            worker.hot_since = None;
        }
    }

    /// A worker is told that its run was taken back.
    pub(super) fn interrupt(&mut self, at: usize) {
        let (low, high) = self.world.interrupt_s;
        let takes = Chance::new(self.world.seed, "interrupt", self.now.0).between(low, high);
        let host = &mut self.hosts[at];
        (host.run, host.interrupts) = (None, true);
        let life = host.life;
        self.stats.preempted += 1;
        self.after(takes, Event::Interrupted { worker: at, life });
    }

    /// It has ended that run, and asks for the next.
    pub(super) fn interrupted(&mut self, at: usize) {
        self.hosts[at].interrupts = false;
        self.claim(at);
    }

    /// A worker has registered and warmed up.
    pub(super) fn ready(&mut self, at: usize) {
        let now = self.now;
        if !self.change(at, |worker| worker.become_state(WorkerState::Warming, now).is_ok()) {
            return;
        }
        let first = self.workers[at].outcome_due;
        if !self.change(at, |worker| worker.become_state(WorkerState::Ready, now).is_ok()) {
            return;
        }
        let worker = &mut self.workers[at];
        worker
            .models
            .extend(self.hosts[at].first.take().map(|it| self.models[it as usize].clone()));
        worker.heard(now);
        worker.connection = Some(ConnectionId::new("open"));
        if first {
            learn::started(&mut self.pace, worker, now);
        }
        self.claim(at);
    }

    /// A worker is never heard of again.
    pub(super) fn falls_silent(&mut self, at: usize) {
        self.heartbeat(at);
        self.hosts[at].answers = false;
        self.hosts[at].run = None;
    }

    /// Who answers was heard of a moment ago, and holds its run.
    pub(super) fn heartbeats(&mut self) {
        for at in 0..self.workers.len() {
            self.heartbeat(at);
        }
    }

    fn heartbeat(&mut self, at: usize) {
        let (worker, host) = (&mut self.workers[at], &self.hosts[at]);
        if !host.answers || host.power != InstanceState::Up {
            return;
        }
        worker.heard(self.now);
        if let Some(held) = worker.run
            && let Some((_, task)) = self.tasks.get_mut(&held.task_id)
            && let Ok(run) = task.run_mut(held.run_id)
        {
            run.lease_until = self.now + self.case.settings.lease;
        }
    }

    // ------------------------------------------------------------ EC2

    pub(super) fn stopped(&mut self, at: usize) {
        self.hosts[at].power = InstanceState::Stopped;
        let now = self.now;
        self.change(at, |worker| run::moved(worker, WorkerState::Stopped, now).is_ok());
        self.scale();
    }

    pub(super) fn power_off(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        host.power = InstanceState::Stopping;
        host.run = None;
        let life = host.life;
        self.pay(at, self.now.0);
        let (low, high) = self.world.stop_s;
        let takes = Chance::new(self.world.seed, "stop", self.now.0).between(low, high);
        self.after(takes, Event::Stopped { worker: at, life });
    }

    pub(super) fn power_on(&mut self, at: usize) {
        self.starts += 1;
        self.stats.starts += 1;
        let mut chance = Chance::new(self.world.seed, "start", self.starts);
        let host = &mut self.hosts[at];
        host.life += 1;
        host.power = InstanceState::Up;
        host.answers = true;
        host.interrupts = false;
        host.disk = disk::Disk::default();
        let life = host.life;
        let (start, warm_up) = (self.world.start_s, self.world.warm_up_s);
        let mut takes = chance.between(start.0, start.1) + chance.between(warm_up.0, warm_up.1);
        takes += self.begin_with(at, takes, &mut chance);
        if !chance.happens(self.world.launch_fails) {
            self.after(takes, Event::Ready { worker: at, life });
        }
        if self.world.lost_per_hour > 0.0 {
            let lives = takes + chance.exponential(3600.0 / self.world.lost_per_hour);
            self.after(lives, Event::Lost { worker: at, life });
        }
    }

    /// Puts onto a machine what is asked for most, the first of it into the GPU before it is ready: as `claim` offers it. How much
    /// later it is ready, seconds.
    fn begin_with(&mut self, at: usize, ready_in: f64, chance: &mut Chance) -> f64 {
        let Some(files) = self.world.files.filter(|_| self.case.warm_up) else {
            return 0.0;
        };
        let wanted = demand::most_wanted(&self.pace.estimates.demand, self.now);
        let number = |name: &str| self.models.iter().position(|it| it == name).map(|it| it as u32);
        let wanted: Vec<_> = wanted.into_iter().filter_map(number).take(1 + USUAL).collect();
        let (now, host) = (self.now.0, &mut self.hosts[at]);
        host.first = wanted.first().copied();
        let (mut later, mut come) = (0.0, 0.0);
        for (place, model) in wanted.into_iter().enumerate() {
            let (reads, seconds) = disk::reads(&files, model, host.disk.has(model, now), chance);
            if place == 0 {
                (later, come) = (seconds, ready_in + seconds);
            } else {
                let fetched = reads.iter().filter(|it| it.from == Source::Bucket);
                come += fetched.map(|it| it.ms as f64 / 1000.0).sum::<f64>();
            }
            host.disk.put(model, now + millis(come), &files);
        }
        later
    }

    /// The machine's bill, from when it was asked for until then.
    pub(super) fn pay(&mut self, at: usize, until: u64) {
        let since = self.workers[at].up_since;
        self.stats
            .paid(since, model::Millis(until), self.case.settings.min_billing);
    }
}
