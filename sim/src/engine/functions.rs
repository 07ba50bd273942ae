//! What the Lambdas do: each decision is `policy`'s, and so is what follows from it.

use std::time::Duration;

use model::{DemandCount, Forecast, InstanceId, Millis, TaskId, Worker, WorkerId, WorkerState};
use policy::{
    forecast, hazard,
    preempt::{self, Preemption},
    presence,
    reap::{self, ReapAction},
    run,
    scale::{self, Grow},
    start::{self, MOST_PLANS, Refusal},
    watch::{self, Converge, InstanceState, InstanceView},
};

use super::{
    disk::Disk,
    studio::{Host, MIDNIGHT, Studio},
};
use crate::{chance::Chance, stats::Moment};

/// Ticks are this far apart.
pub(super) const TICK: Duration = Duration::from_mins(1);
const HOUR_MS: u64 = 3_600_000;

impl Studio<'_> {
    /// As `fleet::scale` does it: one plan at a time, and another one when a stopped instance could not be started.
    pub(super) fn scale(&mut self) {
        self.heartbeats();
        let now = self.now;
        let mut chance = Chance::new(self.world.seed, "capacity", now.0);
        for _ in 0..MOST_PLANS {
            let snapshot = self.snapshot();
            let plan = scale::plan(&snapshot);
            let (id, launched) = match &plan.grow {
                Grow::No | Grow::Undrain(_) => (None, false),
                Grow::Start(id) => (Some(id.clone()), false),
                Grow::Launch => (Some(WorkerId::new(format!("w{}", self.workers.len()))), true),
            };
            let won = id.as_ref().map(|id| start::won(&snapshot, &plan, id));
            for id in &plan.wake {
                self.claim(self.place(id));
            }
            if let Grow::Undrain(id) = &plan.grow {
                let at = self.place(id);
                self.change(at, |worker| worker.become_state(WorkerState::Ready, now).is_ok());
                self.claim(at);
            }
            self.preempt();
            let (Some(id), Some(won)) = (id, won) else { return };
            let at = if launched {
                self.launching(&id)
            } else {
                let at = self.place(&id);
                // Cannot fail: it was stopped.
                let _ = self.workers[at].become_state(WorkerState::Starting, now);
                at
            };
            self.pool = won;
            if !chance.happens(self.world.no_capacity) {
                return self.power_on(at);
            }
            let why = Refusal::NoCapacity;
            if !launched {
                self.change(at, |worker| start::start_refused(worker, why, now));
                start::forget(&mut self.pool, &id);
            } else if start::launch_refused(&mut self.pool, &id, self.workers.get(at), why, now) {
                self.workers.pop();
                self.hosts.pop();
            }
            if !start::plan_again(launched, why) {
                return;
            }
        }
    }

    /// As `tasks::runs::preempt` does it, of what the tables say by then.
    fn preempt(&mut self) {
        let snapshot = self.snapshot();
        let waiting = preempt::waiting(&snapshot);
        let held = |worker: &Worker| Some(self.tasks.get(&worker.run?.task_id)?.1.clone());
        let may = |worker: &&Worker| preempt::may_be_taken(worker, &snapshot);
        let running: Vec<_> = self.workers.iter().filter(may).filter_map(held).collect();
        for taken in preempt::choose(&waiting, &running, &snapshot) {
            self.take_back(taken);
        }
    }

    fn take_back(&mut self, taken: Preemption) {
        let now = self.now;
        let on = |worker: &Worker| worker.run.is_some_and(|run| run.run_id == taken.run_id);
        let (Some(at), Some((_, task))) = (self.workers.iter().position(on), self.tasks.get_mut(&taken.task_id)) else {
            return;
        };
        if let Ok(end) = run::preempted(task, Some(&mut self.workers[at]), taken.run_id, taken.start_tag, now) {
            self.lost(taken.task_id, end);
            self.interrupt(at);
        }
    }

    fn launching(&mut self, id: &WorkerId) -> usize {
        let worker = Worker::launching(id.clone(), self.pool.pool.clone(), self.now);
        self.workers.push(worker);
        self.hosts.push(Host {
            power: InstanceState::Up,
            life: 0,
            answers: true,
            run: None,
            interrupts: false,
            disk: Disk::default(),
            first: None,
            reads: Vec::new(),
        });
        self.workers.len() - 1
    }

    /// `lifecycle`, then `idle-reaper`.
    pub(super) fn tick(&mut self) {
        let now = self.now;
        self.heartbeats();
        for at in 0..self.workers.len() {
            self.converge(at);
        }
        self.presence.retain(|it| it.ttl > now.seconds());
        self.forecast();
        for at in 0..self.workers.len() {
            self.watch(at);
        }
        self.expire();
        if self.case.learning
            && let Some(learned) = hazard::observed(&self.snapshot())
        {
            self.hazard = Some(learned);
        }
        self.scale();
        self.reap();
        self.look();
    }

    /// From now on one worker is to be up, or none but for those who wait.
    pub(super) fn planned(&mut self, up: bool) {
        self.pool.forecast = Some(Forecast {
            workers: u32::from(up),
            until: Millis(u64::MAX),
            credit_ms: i64::MAX,
            settled_at: self.now,
        });
        self.scale();
        self.reap();
    }

    /// `idle-reaper`.
    fn reap(&mut self) {
        // What is planned needs no second look.
        let looks = if self.case.planned.is_some() { 2 } else { 1 };
        for _ in 0..looks {
            self.reap_once();
        }
    }

    fn reap_once(&mut self) {
        let now = self.now;
        for step in reap::plan(&self.snapshot()) {
            let at = self.place(&step.worker_id);
            let to = match step.action {
                ReapAction::Drain => WorkerState::Draining,
                ReapAction::Undrain => WorkerState::Ready,
                ReapAction::Stop => WorkerState::Stopping,
            };
            if !self.change(at, |worker| run::moved(worker, to, now).is_ok()) {
                continue;
            }
            match step.action {
                ReapAction::Drain => {}
                ReapAction::Undrain => self.claim(at),
                ReapAction::Stop => self.power_off(at),
            }
        }
    }

    fn converge(&mut self, at: usize) {
        let now = self.now;
        let view = InstanceView {
            instance_id: InstanceId::new("i"),
            state: self.hosts[at].power,
        };
        let become_state = |studio: &mut Self, to| studio.change(at, |worker| run::moved(worker, to, now).is_ok());
        match watch::converge(&self.workers[at], Some(&view), &self.case.settings, now) {
            // The simulated EC2 always shows an instance.
            Converge::Leave | Converge::Miss => {}
            Converge::Become(to) => {
                become_state(self, to);
            }
            Converge::Stop => {
                become_state(self, WorkerState::Stopping);
                self.power_off(at);
            }
            Converge::Terminate => {
                if self.hosts[at].power == InstanceState::Up {
                    self.pay(at, now.0);
                }
                self.hosts[at].power = InstanceState::Gone;
                become_state(self, WorkerState::Gone);
            }
        }
    }

    /// A run whose worker says nothing any more is lost.
    fn watch(&mut self, at: usize) {
        let worker = &mut self.workers[at];
        let Some(held) = worker.run else { return };
        let Some((_, task)) = self.tasks.get_mut(&held.task_id) else {
            return;
        };
        if watch::run_lost(task, &self.case.settings, self.now)
            && let Ok(end) = run::fell_silent(task, Some(worker), held.run_id, self.now)
        {
            self.hosts[at].run = None;
            self.lost(held.task_id, end);
        }
    }

    fn expire(&mut self) {
        let due = |id: &TaskId| {
            let (_, task) = self.tasks.get(id)?;
            watch::expiry(task, &self.case.settings, self.now)
        };
        let line = self.backlog.iter().map(|entry| entry.task_id);
        let over: Vec<_> = line.filter(|id| due(id).is_some()).collect();
        for id in over {
            self.given_up(id);
        }
    }

    fn forecast(&mut self) {
        if let Some(hours) = &self.case.foreseen {
            let slot = (self.now.0 - MIDNIGHT) / DemandCount::SLOT.as_millis() as u64;
            let hour = usize::try_from(slot).ok().and_then(|it| hours.get(it));
            if let Some(looked) = forecast::looked(&self.snapshot(), hour) {
                self.pool.forecast = Some(looked);
            }
            return;
        }
        let Some(hours) = &self.case.forecast else { return };
        let hour = usize::try_from((self.now.0 - MIDNIGHT) / HOUR_MS).unwrap_or(usize::MAX);
        let (anyway, kept) = reap::kept_for_forecast(&self.snapshot());
        let credit_ms = self.pool.forecast.map_or(0, |it| it.credit_ms);
        self.pool.forecast = Some(Forecast {
            workers: hours.get(hour).copied().unwrap_or(0),
            until: self.now + Duration::from_mins(5),
            credit_ms: forecast::settled(credit_ms, TICK * anyway, TICK * kept),
            settled_at: self.now,
        });
    }

    fn look(&mut self) {
        let up = |wanted: fn(WorkerState) -> bool| self.workers.iter().filter(|it| wanted(it.state)).count();
        let here = |it: &&model::Presence| presence::is_present(it, &self.case.settings, self.now);
        let moment = Moment {
            at: self.now.0 - MIDNIGHT,
            coming: up(WorkerState::is_coming),
            serving: up(|it| matches!(it, WorkerState::Ready | WorkerState::Busy | WorkerState::Draining)),
            waiting: self.backlog.len(),
            present: self.presence.iter().filter(here).count(),
        };
        self.stats.moments.push(moment);
    }
}
