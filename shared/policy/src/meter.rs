//! What a pool's machines cost in a month, and its limit.
//!
//! A machine counts from when it was asked for until EC2 shows that it is off, whatever it does meanwhile: a minute or two
//! more than EC2 asks for. What it cost is added to the pool's meter by the write that stops it, and so counts once; what
//! is up is reckoned anew by whoever looks, however late or often.

use std::time::Duration;

use model::{DayMeter, Meter, MicroUsd, Millis, Pool, Shift, Worker, WorkerState};

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
    let hour = price::hour(Some(pool), worker.instance_type.as_deref());
    let since = |began: Millis| now.since(worker.up_since.max(began));
    let add = |sum: &mut MicroUsd, sum_ms: &mut u64, time: Duration| {
        sum.0 = sum.0.saturating_add(MicroUsd::of_time(time, hour).0);
        *sum_ms = sum_ms.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    };
    let meter = current_mut(pool, now);
    // What it cost before the month ended, by a clock that is behind, is nothing of the new one.
    if meter.month == now.month() {
        add(&mut meter.stopped, &mut meter.stopped_ms, since(now.month_began()));
        let mut day = of_day(meter, now);
        add(&mut day.stopped, &mut day.stopped_ms, since(now.day_began()));
        meter.day = Some(day);
    }
    pool.shifts.push(Shift {
        worker_id: worker.worker_id.clone(),
        from: worker.up_since,
        to: now,
    });
    let extra = pool.shifts.len().saturating_sub(Shift::MOST);
    pool.shifts.drain(..extra);
}

/// What has stopped on the day of this moment.
fn of_day(meter: &Meter, now: Millis) -> DayMeter {
    let began = now.day_began();
    meter.day.filter(|day| day.began == began).unwrap_or(DayMeter {
        began,
        ..DayMeter::default()
    })
}

/// Machine time, and what it costs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// What it costs.
    pub cost: MicroUsd,
    /// How long machines were up, together.
    pub time: Duration,
}

/// What the pool's machines have used on the day of this moment, UTC.
pub fn today(pool: &Pool, workers: &[Worker], now: Millis) -> Used {
    let day = current(pool, now).map_or_else(DayMeter::default, |meter| of_day(meter, now));
    up_since(pool, workers, now.day_began(), now, (day.stopped, day.stopped_ms))
}

/// The same of the month. What stopped before times were counted is in the cost alone.
pub fn this_month(pool: &Pool, workers: &[Worker], now: Millis) -> Used {
    let stopped = current(pool, now).map_or_else(Default::default, |meter| (meter.stopped, meter.stopped_ms));
    up_since(pool, workers, now.month_began(), now, stopped)
}

/// With what is up, as far as it was up after this.
fn up_since(pool: &Pool, workers: &[Worker], began: Millis, now: Millis, stopped: (MicroUsd, u64)) -> Used {
    let mut used = Used {
        cost: stopped.0,
        time: Duration::from_millis(stopped.1),
    };
    for worker in workers.iter().filter(|worker| worker.state.is_up()) {
        let time = now.since(worker.up_since.max(began));
        let cost = MicroUsd::of_time(time, price::hour(Some(pool), worker.instance_type.as_deref()));
        used.cost.0 = used.cost.0.saturating_add(cost.0);
        used.time = used.time.saturating_add(time);
    }
    used
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
