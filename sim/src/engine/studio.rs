//! The tables, the machines and what is still to happen.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use model::{
    BacklogEntry, Forecast, Hazard, Lane, Millis, Pace, Pool, PoolId, Presence, RunEnd, Task, TaskId, UserId, Worker,
    WorkerId,
    worker_api::{ModelFile, Read},
};
use policy::{PoolSnapshot, run, start, watch::InstanceState};

use super::{case::Case, disk::Disk};
use crate::{demand::Demand, signals::millis, stats::Stats, world::World};

/// The demand's first midnight: far enough from zero for every age.
pub(crate) const MIDNIGHT: u64 = 30 * 86_400_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    // At the same moment, in this order.
    Done { worker: usize, run: u64 },
    Ready { worker: usize, life: u32 },
    Stopped { worker: usize, life: u32 },
    Lost { worker: usize, life: u32 },
    Interrupted { worker: usize, life: u32 },
    Shown(usize),
    Arrives(usize),
    Planned(bool),
    GivesUp(usize),
    Tick,
}

/// A worker's machine, which the policies do not see.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub(super) power: InstanceState,
    /// Rises with each start, so that an old start's events are known.
    pub(super) life: u32,
    pub(super) answers: bool,
    /// The number of the run that it renders.
    pub(super) run: Option<u64>,
    /// It was told to interrupt one, and asks for no work before it has.
    pub(super) interrupts: bool,
    /// Empty after each stop.
    pub(super) disk: Disk,
    /// The model that the warm-up loads.
    pub(super) first: Option<u32>,
    /// What was read for the run.
    pub(super) reads: Vec<Read>,
}

pub(super) struct Studio<'a> {
    pub(super) demand: &'a Demand,
    pub(super) world: &'a World,
    pub(super) case: &'a Case,
    pub(super) patience_ms: u64,
    pub(super) now: Millis,
    events: BinaryHeap<Reverse<(u64, Event)>>,
    pub(super) pool: Pool,
    pub(super) pace: Pace,
    pub(super) hazard: Option<Hazard>,
    pub(super) workers: Vec<Worker>,
    pub(super) hosts: Vec<Host>,
    pub(super) backlog: Vec<BacklogEntry>,
    /// Those that are not over, each with the number of its request.
    pub(super) tasks: BTreeMap<TaskId, (usize, Task)>,
    pub(super) flows: BTreeMap<(u32, Lane), u64>,
    pub(super) presence: Vec<Presence>,
    /// When each request's run was expected to begin.
    pub(super) etas: Vec<Option<Millis>>,
    pub(super) runs: u64,
    pub(super) starts: u64,
    pub(super) names: Vec<UserId>,
    pub(super) models: Vec<String>,
    pub(super) stats: Stats,
}

/// A model's file: one of the studio's store, if there is one.
fn name(model: u32, world: &World) -> String {
    if world.files.is_some() {
        format!("atelier/studio/{model:08x}.safetensors")
    } else {
        format!("m{model}")
    }
}

impl<'a> Studio<'a> {
    pub(super) fn new(demand: &'a Demand, world: &'a World, case: &'a Case) -> Self {
        let models = demand.requests.iter().map(|request| request.model + 1).max();
        let mut pool = Pool::new(PoolId::new("sim"), world.max_workers, vec!["g5.xlarge".to_owned()]);
        if case.always > 0 {
            pool.forecast = Some(Forecast {
                workers: case.always,
                until: Millis(u64::MAX),
                credit_ms: i64::MAX,
                settled_at: Millis(0),
            });
        }
        Self {
            demand,
            world,
            case,
            patience_ms: millis(case.patience_s.unwrap_or(world.patience_s)),
            now: Millis(MIDNIGHT),
            events: BinaryHeap::new(),
            pool,
            pace: Pace::new(PoolId::new("sim")),
            hazard: case.hazard.clone(),
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
            models: (0..models.unwrap_or(0)).map(|n| name(n, world)).collect(),
            stats: Stats::new(demand),
        }
    }

    pub(super) fn at(&mut self, at: u64, event: Event) {
        self.events.push(Reverse((at, event)));
    }

    pub(super) fn after(&mut self, seconds: f64, event: Event) {
        self.at(self.now.0 + millis(seconds), event);
    }

    /// Time goes on to the next event.
    pub(super) fn next(&mut self) -> Option<Event> {
        let Reverse((at, event)) = self.events.pop()?;
        self.now = Millis(at);
        Some(event)
    }

    pub(super) fn snapshot(&self) -> PoolSnapshot<'_> {
        PoolSnapshot {
            pool: &self.pool,
            workers: &self.workers,
            backlog: &self.backlog,
            presence: &self.presence,
            estimates: &self.pace.estimates,
            hazard: self.hazard.as_ref(),
            settings: &self.case.settings,
            now: self.now,
        }
    }

    /// What the worker says of its disk. To a choice that is not to know, all of it is there.
    pub(super) fn tell_disk(&mut self, at: usize) {
        if self.world.files.is_none() {
            return;
        }
        let (now, models, host) = (self.now.0, &self.models, &self.hosts[at]);
        let mark = |model: u32| ModelFile::mark(models.get(model as usize)?).map(str::to_owned);
        self.workers[at].on_disk = if self.case.knows_disks {
            host.disk.models(now).filter_map(mark).collect()
        } else {
            (0..models.len() as u32).filter_map(mark).collect()
        };
    }

    pub(super) fn place(&self, id: &WorkerId) -> usize {
        // A plan names workers of its snapshot.
        let mut ids = self.workers.iter();
        ids.position(|it| it.worker_id == *id).unwrap_or_default()
    }

    /// Changes a worker, and what hangs on it, as `change_worker` does it. False: `change` wanted nothing.
    pub(super) fn change(&mut self, at: usize, change: impl FnOnce(&mut Worker) -> bool) -> bool {
        let worker = &mut self.workers[at];
        let (held, before) = (worker.run, worker.state);
        if !change(worker) {
            return false;
        }
        if let Some(ok) = start::outcome(before, worker) {
            start::settle(Some(&mut self.pool), worker, ok, self.now);
        }
        if let Some(lost) = run::dropped(held, worker)
            && let Some((_, task)) = self.tasks.get_mut(&lost.task_id)
            && let Ok(end) = run::machine_lost(task, lost.run_id, self.now)
        {
            self.lost(lost.task_id, end);
        }
        true
    }

    /// A task whose run was lost waits again, unless it is over or its painter has given up.
    pub(super) fn lost(&mut self, id: TaskId, end: RunEnd) {
        let patience = std::time::Duration::from_millis(self.patience_ms);
        let waits = self.tasks.get(&id).filter(|(_, task)| {
            end == RunEnd::Requeued && (task.lane == Lane::Batch || self.now <= task.created + patience)
        });
        if let Some((_, task)) = waits {
            self.backlog.push(task.into());
        } else {
            self.given_up(id);
        }
    }

    /// A task is over without a picture.
    pub(super) fn given_up(&mut self, id: TaskId) {
        if let Some((request, _)) = self.tasks.remove(&id) {
            self.backlog.retain(|entry| entry.task_id != id);
            self.stats.timed_out(request);
        }
    }
}
