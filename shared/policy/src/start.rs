//! What a start leaves behind: on the pool when its plan has won, and when it is known what came of it.

use model::{Millis, Pool, StartingWorker, Worker, WorkerId, WorkerState};

use crate::{breaker, coming::starting, estimate, forecast, scale::ScalePlan, snapshot::PoolSnapshot};

/// Most plans in a row: another instance or offering after one that had no capacity.
pub const MOST_PLANS: usize = 4;

/// Why no machine came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// EC2 has none of this kind at the moment: nobody's fault.
    NoCapacity,
    /// EC2 refused for another reason.
    Failed,
}

/// The pool after this plan has won the start of this worker: only one planner can write it.
pub fn won(snapshot: &PoolSnapshot<'_>, plan: &ScalePlan, worker_id: &WorkerId) -> Pool {
    let mut pool = snapshot.pool.clone();
    pool.starting = starting(snapshot.pool, snapshot).cloned().collect();
    pool.starting.push(StartingWorker {
        worker_id: worker_id.clone(),
        since: snapshot.now,
    });
    breaker::probing(&mut pool.breaker, snapshot.now);
    if plan.for_forecast
        && let Some(forecast) = pool.forecast.as_mut()
    {
        let start = estimate::start(snapshot.estimates);
        forecast.credit_ms = forecast
            .credit_ms
            .saturating_sub(forecast::price(start, snapshot.settings));
    }
    pool
}

/// What a worker's change of state shows of its last start, if that was still to be seen. One that is stopped on
/// purpose while it comes up shows nothing.
pub fn outcome(before: WorkerState, after: &Worker) -> Option<bool> {
    match after.state {
        _ if !after.outcome_due => None,
        WorkerState::Ready if before == WorkerState::Warming => Some(true),
        WorkerState::Failed | WorkerState::Stopped | WorkerState::Gone if before.is_coming() => Some(false),
        _ => None,
    }
}

/// Notes what came of a worker's start, once. Without the pool's item there is nothing to pause.
pub fn settle(pool: Option<&mut Pool>, worker: &mut Worker, ok: bool, now: Millis) {
    worker.outcome_due = false;
    if let Some(pool) = pool {
        breaker::record(&mut pool.breaker, ok, now);
        forget(pool, &worker.worker_id);
    }
}

/// Takes the start of a stopped instance back. It is not tried again for a while, which keeps nobody from launching
/// elsewhere. False: it is not starting any more, and nothing is to be written.
pub fn start_refused(worker: &mut Worker, why: Refusal, now: Millis) -> bool {
    worker.no_capacity_at = Some(now);
    worker.outcome_due &= why == Refusal::Failed;
    worker.state == WorkerState::Starting && worker.become_state(WorkerState::Stopped, now).is_ok()
}

/// Takes a launch back, with its worker as it is now. Whatever the reason was, nothing is launched for a while: a
/// failing launch must not be repeated by every message. True: there never was such a worker, and its item is to be
/// deleted; should there be an instance after all, `lifecycle` ends it.
pub fn launch_refused(
    pool: &mut Pool,
    worker_id: &WorkerId,
    worker: Option<&Worker>,
    why: Refusal,
    now: Millis,
) -> bool {
    pool.no_capacity_at = Some(now);
    forget(pool, worker_id);
    let never_was = worker.is_some_and(|it| it.state == WorkerState::Launching && it.instance_id.is_none());
    if never_was && why == Refusal::Failed {
        breaker::record(&mut pool.breaker, false, now);
    }
    never_was
}

/// Whether another plan is made at once: after a stopped instance without capacity another offering may have some.
pub fn plan_again(launched: bool, why: Refusal) -> bool {
    !launched && why == Refusal::NoCapacity
}

/// Nothing is on its way any more under this name.
pub fn forget(pool: &mut Pool, worker_id: &WorkerId) {
    pool.starting.retain(|it| it.worker_id != *worker_id);
}
