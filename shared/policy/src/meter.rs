//! What a pool's machines cost in a month, and its limit.
//!
//! A machine counts from when it was asked for until EC2 shows that it is off, whatever it does meanwhile: a minute or two
//! more than EC2 asks for. What it cost is added to the pool's meter by the write that stops it, and so counts once; what
//! is up is reckoned anew by whoever looks, however late or often.

use model::{Meter, MicroUsd, Millis, Pool, Worker, WorkerState};

use crate::price;

/// Percent of the limit at which the operator is told.
const TOLD_AT: [u32; 2] = [100, 80];

/// What to tell those who wait once the limit is reached.
pub const PAUSED: &str = "Your studio's machines have cost as much as they may this month, so none is started. Your picture \
                          stays in line; your studio's operator can lift the limit.";

/// What the pool's machines have cost in the month of this moment.
pub fn used(pool: &Pool, workers: &[Worker], now: Millis) -> MicroUsd {
    let up = workers.iter().filter(|worker| worker.state.is_up());
    let stopped = current(pool, now).map_or(0, |meter| meter.stopped.0);
    MicroUsd(up.fold(stopped, |sum, worker| sum.saturating_add(cost(pool, worker, now).0)))
}

/// What a machine that is up, or has just stopped, has cost in the month of this moment.
fn cost(pool: &Pool, worker: &Worker, now: Millis) -> MicroUsd {
    let since = worker.up_since.max(now.month_began());
    MicroUsd::of_time(
        now.since(since),
        price::hour(Some(pool), worker.instance_type.as_deref()),
    )
}

/// The meter if it is of the month of this moment. By a clock that is behind, that month may have ended.
fn current(pool: &Pool, now: Millis) -> Option<&Meter> {
    Some(&pool.meter).filter(|meter| meter.month >= now.month())
}

/// The meter of the month of this moment, begun if need be.
fn current_mut(pool: &mut Pool, now: Millis) -> &mut Meter {
    if current(pool, now).is_none() {
        pool.meter = Meter {
            month: now.month(),
            ..Meter::default()
        };
    }
    &mut pool.meter
}

/// Whether a machine has stopped by this change of its worker: to be counted with it.
pub fn stops(before: WorkerState, after: &Worker) -> bool {
    before.is_up() && !after.state.is_up()
}

/// Counts a machine that stops.
pub fn stopped(pool: &mut Pool, worker: &Worker, now: Millis) {
    let cost = cost(pool, worker, now);
    let meter = current_mut(pool, now);
    // What it cost before the month ended, by a clock that is behind, is nothing of the new one.
    if meter.month == now.month() {
        meter.stopped = MicroUsd(meter.stopped.0.saturating_add(cost.0));
    }
}

/// Whether the limit holds and is reached: nothing may be started.
pub fn is_reached(pool: &Pool, workers: &[Worker], now: Millis) -> bool {
    percent(pool, workers, now).is_some_and(|percent| percent >= 100) && !is_lifted(pool, now)
}

/// How much of the limit is used; none without one.
pub fn percent(pool: &Pool, workers: &[Worker], now: Millis) -> Option<u64> {
    let limit = pool.monthly_limit?.0;
    let used = used(pool, workers, now).0;
    Some(used.saturating_mul(100).checked_div(limit).unwrap_or(100))
}

/// Whether an operator has lifted the limit for the month of this moment.
pub fn is_lifted(pool: &Pool, now: Millis) -> bool {
    current(pool, now).is_some_and(|meter| meter.lifted)
}

/// Lifts the limit for the month of this moment, or lets it hold again.
pub fn lift(pool: &mut Pool, lifted: bool, now: Millis) {
    current_mut(pool, now).lifted = lifted;
}

/// So many percent of the limit are reached, and the operator is yet to be told so.
pub fn notice(pool: &Pool, workers: &[Worker], now: Millis) -> Option<u32> {
    let percent = percent(pool, workers, now)?;
    let told = current(pool, now).map_or(0, |meter| meter.told);
    let reached = TOLD_AT.into_iter().find(|at| percent >= u64::from(*at));
    reached.filter(|at| *at > told)
}

/// Notes that the operator is told.
pub fn told(pool: &mut Pool, percent: u32, now: Millis) {
    current_mut(pool, now).told = percent;
}
