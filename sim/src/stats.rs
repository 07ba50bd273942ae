//! What a run of the simulation showed.

use std::time::Duration;

use model::{Hazard, Millis};
use serde::Serialize;

use crate::{clairvoyant::Clairvoyant, demand::Demand, world::World};

/// The studio at one tick.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Milliseconds since the demand's first midnight.
    pub at: u64,
    /// Workers on their way.
    pub coming: usize,
    /// Workers that serve.
    pub serving: usize,
    /// Tasks in line.
    pub waiting: usize,
    /// Painters present.
    pub present: usize,
}

/// What is counted while a case runs.
#[derive(Debug)]
pub struct Stats {
    /// Starts and launches that were carried out.
    pub starts: u64,
    /// The studio, tick by tick.
    pub moments: Vec<Moment>,
    /// Time from submit to picture, seconds, by request; none if it was not rendered.
    pub response_s: Vec<Option<f64>>,
    /// Tasks given up in the line.
    pub timeouts: u64,
    /// Which requests' they were.
    pub given_up: Vec<usize>,
    /// Runs that were taken back for somebody who waited.
    pub preempted: u64,
    /// What was learned of painters' pauses.
    pub hazard: Option<Hazard>,
    requests: usize,
    waits_s: Vec<f64>,
    runs: u64,
    misses: u64,
    fetches: u64,
    load_s: f64,
    paid: Duration,
    busy: Duration,
    eta_errors_s: Vec<f64>,
}

impl Stats {
    pub(crate) fn new(demand: &Demand) -> Self {
        Self {
            starts: 0,
            moments: Vec::new(),
            response_s: vec![None; demand.requests.len()],
            requests: demand.requests.len(),
            timeouts: 0,
            given_up: Vec::new(),
            preempted: 0,
            hazard: None,
            waits_s: Vec::new(),
            runs: 0,
            misses: 0,
            fetches: 0,
            load_s: 0.0,
            paid: Duration::ZERO,
            busy: Duration::ZERO,
            eta_errors_s: Vec::new(),
        }
    }

    pub(crate) fn timed_out(&mut self, request: usize) {
        self.timeouts += 1;
        self.given_up.push(request);
    }

    /// A run begins: its model was not in the GPU, nor on the disk, and takes so long to be there.
    pub(crate) fn began(&mut self, wait: Duration, missed: bool, fetched: bool, load_s: f64) {
        self.waits_s.push(wait.as_secs_f64());
        self.runs += 1;
        self.misses += u64::from(missed);
        self.fetches += u64::from(fetched);
        self.load_s += load_s;
    }

    pub(crate) fn eta(&mut self, said: Millis, began: Millis) {
        self.eta_errors_s
            .push((said.since(began) + began.since(said)).as_secs_f64());
    }

    pub(crate) fn done(&mut self, task: usize, response: Duration, took: Duration) {
        self.response_s[task] = Some(response.as_secs_f64());
        self.busy += took;
    }

    pub(crate) fn paid(&mut self, since: Millis, until: Millis, least: Duration) {
        self.paid += until.since(since).max(least);
    }

    /// Machine time paid, hours.
    pub fn hours(&self) -> f64 {
        self.paid.as_secs_f64() / 3600.0
    }

    /// The 95th percentile of the response time of these requests, seconds.
    pub fn p95_of(&self, wanted: impl Fn(usize) -> bool) -> f64 {
        let responses = self.response_s.iter().enumerate().filter(|(at, _)| wanted(*at));
        quantile(responses.filter_map(|(_, response)| *response).collect(), 0.95)
    }
}

/// A policy's line in the table.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Which policy.
    pub policy: String,
    /// Requests asked for.
    pub requests: usize,
    /// Share of them whose rendering had not begun when the painter's patience ended, percent.
    pub timeouts_pct: f64,
    /// Share whose picture came later than the patience after the submit, or never, percent: with the rendering itself.
    pub late_pct: f64,
    /// GPU hours in 30 days.
    pub hours_month: f64,
    /// Dollars for each picture request that was served.
    pub cost_per_picture: f64,
    /// Dollars in 30 days.
    pub cost_month: f64,
    /// Mean time from submit to picture, seconds.
    pub mean_s: f64,
    /// Its 95th percentile.
    pub p95_s: f64,
    /// Mean time from submit to the begin of the run, seconds.
    pub wait_s: f64,
    /// Its 95th percentile.
    pub wait_p95_s: f64,
    /// Machine time against the feasible schedule of somebody who knows all requests beforehand.
    pub clairvoyant_ratio: f64,
    /// Machine time against the least that any schedule without time-outs needs.
    pub lower_bound_ratio: f64,
    /// Share of runs that had to load their model first, percent.
    pub vram_miss_pct: f64,
    /// Share of runs whose model had to be fetched onto the disk first, percent.
    pub disk_miss_pct: f64,
    /// Mean time that a run's model took to be in the GPU, seconds.
    pub load_s: f64,
    /// Starts and launches in 30 days.
    pub starts_month: f64,
    /// Tasks given up in the line.
    pub abandoned: u64,
    /// Share of machine time spent on runs, percent.
    pub busy_pct: f64,
    /// Mean error of the wait told at submit, seconds.
    pub eta_error_s: f64,
}

impl Report {
    /// The line of this run.
    pub fn new(
        policy: &str,
        stats: &Stats,
        demand: &Demand,
        world: &World,
        patience_s: f64,
        best: &Clairvoyant,
    ) -> Self {
        let served: Vec<f64> = stats.response_s.iter().flatten().copied().collect();
        let month = 30.0 / demand.days as f64;
        let hours = stats.hours();
        let requests = stats.requests.max(1) as f64;
        let in_time = served.iter().filter(|response| **response <= patience_s).count();
        Self {
            policy: policy.to_owned(),
            requests: stats.requests,
            timeouts_pct: 100.0 * stats.timeouts as f64 / requests,
            late_pct: 100.0 * (1.0 - in_time as f64 / requests),
            hours_month: hours * month,
            cost_per_picture: hours * world.price_hour / served.len().max(1) as f64,
            cost_month: hours * month * world.price_hour,
            mean_s: mean(&served),
            p95_s: quantile(served, 0.95),
            wait_s: mean(&stats.waits_s),
            wait_p95_s: quantile(stats.waits_s.clone(), 0.95),
            clairvoyant_ratio: hours / best.feasible_h.max(1e-9),
            lower_bound_ratio: hours / best.lower_bound_h.max(1e-9),
            vram_miss_pct: 100.0 * stats.misses as f64 / stats.runs.max(1) as f64,
            disk_miss_pct: 100.0 * stats.fetches as f64 / stats.runs.max(1) as f64,
            load_s: stats.load_s / stats.runs.max(1) as f64,
            starts_month: stats.starts as f64 * month,
            abandoned: stats.timeouts,
            busy_pct: 100.0 * stats.busy.as_secs_f64() / (hours * 3600.0).max(1e-9),
            eta_error_s: mean(&stats.eta_errors_s),
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * share) as usize;
    values
        .get(at.min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0.0)
}
