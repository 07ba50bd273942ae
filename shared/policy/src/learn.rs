//! What workers and runs show of their pool.

use model::{Millis, Pace, Task, Worker, worker_api::Read};

use crate::{demand, estimate, fair, load};

/// A worker has become ready: how long machines take to come up.
pub fn started(pace: &mut Pace, worker: &Worker, now: Millis) {
    let took = now.since(worker.up_since).as_secs_f64() * 1000.0;
    estimate::learn(&mut pace.estimates.start, took);
}

/// A run has begun: how much is asked for, and how far the line has come. `bytes`: of its main model, where the catalogue
/// knows it.
pub fn claimed(pace: &mut Pace, task: &Task, bytes: Option<u64>, now: Millis) {
    let it = &mut pace.estimates;
    let run = estimate::run(it, task.model.as_deref(), task.work);
    estimate::learn_load(&mut it.load, run, now);
    if let Some(model) = &task.model {
        demand::learn(&mut it.demand, model, now);
        if let Some(bytes) = bytes {
            load::learn_size(it, model, bytes);
        }
    }
    pace.virtual_time = fair::advanced(pace.virtual_time, task.start_tag).unwrap_or(pace.virtual_time);
}

/// A run has delivered: how long runs take, how fast model files come, and how wrong the time was that its painter was told.
pub fn finished(pace: &mut Pace, task: &Task, reads: &[Read], now: Millis) {
    let Some(since) = task.claimed_at else { return };
    let it = &mut pace.estimates;
    load::learn(it, reads);
    estimate::learn_run(it, task.model.as_deref(), task.work, now.since(since));
    if let Some(eta) = task.eta {
        estimate::learn(&mut it.eta_error, now.0.abs_diff(eta.0) as f64);
    }
}
