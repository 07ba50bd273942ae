//! What painters and their clients do.

use model::{Lane, MicroUsd, Millis, Task, TaskId, TaskState, TeamId, WorkerState};
use policy::{
    estimate, fair,
    presence::{self, Sign},
    scale, wait,
};
use uuid::Uuid;

use super::studio::{Event, Studio};
use crate::chance::Chance;

fn id(request: usize) -> TaskId {
    TaskId::new(Uuid::from_u128(request as u128 + 1))
}

impl Studio<'_> {
    pub(super) fn arrives(&mut self, at: usize) {
        let request = &self.demand.requests[at];
        let (user, lane) = (request.user, request.lane);
        self.shown(user, Sign::Ask);
        let mut task = self.task(at);
        let estimate = estimate::run(&self.pace.estimates, task.model.as_deref(), task.work);
        let flow = self.flows.get(&(user, lane)).copied();
        let tags = fair::tags(self.pace.virtual_time, flow, estimate, lane);
        self.flows.insert((user, lane), tags.finish);
        task.start_tag = if self.case.choosing { tags.start } else { self.now.0 };
        let (task_id, model) = (task.task_id, task.model.clone());
        self.backlog.push((&task).into());
        self.tasks.insert(task_id, (at, task));
        if lane != Lane::Batch {
            self.at(self.now.0 + self.patience_ms, Event::GivesUp(at));
        }
        if let Some(worker) = self.woken(model.as_deref()) {
            self.claim(worker);
        }
        self.scale();
        let eta = wait::eta(&self.snapshot(), task_id);
        self.etas[at] = eta.map(|eta| self.now + eta.wait);
    }

    fn task(&self, at: usize) -> Task {
        let request = &self.demand.requests[at];
        Task {
            task_id: id(at),
            version: 0,
            owner: self.names[request.user as usize].clone(),
            team: TeamId::new("studio"),
            pool: self.pool.pool.clone(),
            backlog: Some(self.pool.pool.clone()),
            start_tag: 0,
            lane: request.lane,
            document: None,
            kind: None,
            state: TaskState::Queued,
            model: Some(self.models[request.model as usize].clone()),
            work: request.work,
            reserved: MicroUsd::default(),
            cost: MicroUsd::default(),
            created: self.now,
            expires_at: self.now + self.case.settings.task_expiry,
            // Its painter's client polls until it is done or given up.
            seen_at: Millis(u64::MAX),
            eta: None,
            run: None,
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

    fn woken(&mut self, model: Option<&str>) -> Option<usize> {
        for at in 0..self.workers.len() {
            self.tell_disk(at);
        }
        if self.case.choosing {
            let estimates = &self.pace.estimates;
            let worker = scale::first_to_wake(&self.workers, model, estimates, &self.case.settings, self.now)?;
            return Some(self.place(&worker.worker_id));
        }
        let ready: Vec<_> = (0..self.workers.len())
            .filter(|&it| self.workers[it].state == WorkerState::Ready)
            .collect();
        let any = Chance::new(self.world.seed, "any", self.now.0).below(ready.len());
        ready.get(any).copied()
    }

    pub(super) fn shown(&mut self, user: u32, sign: Sign) {
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

    /// The painter's patience is over. A picture that is being rendered is waited for.
    pub(super) fn gives_up(&mut self, at: usize) {
        let waits = self.tasks.get(&id(at));
        if waits.is_some_and(|(_, task)| task.state == TaskState::Queued) {
            self.given_up(id(at));
        }
    }
}
