//! What a tick shows.

use std::{cmp::Reverse, time::Duration};

use model::{Course, Frailty, Hazard, Millis, Painter, Presence, Tally, WorkerState, storable};

use super::{
    Prices,
    cell::{FORMAT, QUIET, Situation, hour, minutes, times},
    is_kept, is_started,
    painters::{MOST, here, is_here, seen},
};
use crate::{estimate, presence, snapshot::PoolSnapshot};

/// Ticks that are nearer to each other, or further from each other, show nothing of a minute.
const NEAR: Duration = Duration::from_secs(30);
const FAR: Duration = Duration::from_mins(3);
/// Nobody was here before: so much of the time that nobody came is counted at most.
const EMPTY: Duration = Duration::from_hours(24 * 7);
/// A count is half as much after this many hours.
const HALF_COUNT: f64 = 30.0 * 24.0;
/// A cost is half as much after this many hours.
const HALF_COST: f64 = 14.0 * 24.0;
const HOURS: usize = 24;
const HOUR: Duration = Duration::from_hours(1);

/// What is known after this tick; none if it shows nothing. What is of another format, or from the future, begins anew.
pub fn observed(snapshot: &PoolSnapshot<'_>) -> Option<Hazard> {
    let now = snapshot.now;
    let known = snapshot
        .hazard
        .filter(|it| it.format == FORMAT && it.comers.len() == HOURS && it.hours.len() == HOURS);
    let Some(known) = known.filter(|it| it.at <= now + HOUR) else {
        let version = snapshot.hazard.map_or(0, |it| it.version);
        return Some(begun(snapshot, version));
    };
    let nobody = here(snapshot).is_empty();
    if now.since(known.at) < NEAR || nobody && known.painters.iter().all(|it| !is_here(it.at, known.at)) && off(known) {
        return None;
    }
    let mut next = known.clone();
    fade(&mut next, now);
    let asked = learn(&mut next, snapshot);
    next.at = now;
    compare(&mut next, snapshot, asked, now.since(known.at).min(FAR));
    Some(next)
}

/// Both machines on paper are off.
fn off(hazard: &Hazard) -> bool {
    hazard.fixed.on.is_none() && hazard.learned.on.is_none()
}

fn begun(snapshot: &PoolSnapshot<'_>, version: u64) -> Hazard {
    let mut hazard = Hazard {
        pool: snapshot.pool.pool.clone(),
        version,
        format: FORMAT,
        at: snapshot.now,
        cells: std::collections::BTreeMap::new(),
        comers: vec![Tally::default(); HOURS],
        hours: vec![Frailty::default(); HOURS],
        painters: Vec::new(),
        worked: Millis(0),
        fixed: Course::default(),
        learned: Course::default(),
    };
    hazard.painters = here(snapshot).into_iter().map(|stay| seen(None, stay)).collect();
    hazard
}

/// Counts fade once an hour.
fn fade(hazard: &mut Hazard, now: Millis) {
    let hours = (now.0 / 3_600_000).saturating_sub(hazard.at.0 / 3_600_000);
    if hours == 0 {
        return;
    }
    let count = 0.5_f64.powf(hours as f64 / HALF_COUNT);
    let cost = 0.5_f64.powf(hours as f64 / HALF_COST);
    let faded = |number: &mut f64, by: f64| *number = storable(*number * by);
    for tally in hazard.cells.values_mut().chain(&mut hazard.comers) {
        faded(&mut tally.minutes, count);
        faded(&mut tally.asks, count);
        faded(&mut tally.returns, count);
    }
    let painters = hazard.painters.iter_mut().map(|it| &mut it.frailty);
    for frailty in painters.chain(&mut hazard.hours) {
        faded(&mut frailty.asks, count);
        faded(&mut frailty.expected, count);
    }
    faded(&mut hazard.fixed.usd, cost);
    faded(&mut hazard.learned.usd, cost);
}

/// Counts what painters did since the last tick. How many asked.
fn learn(hazard: &mut Hazard, snapshot: &PoolSnapshot<'_>) -> u32 {
    let (then, now) = (hazard.at, snapshot.now);
    let passed = now.since(then);
    let is_a_minute = passed <= FAR;
    let mut asked = 0;
    let mut painters = std::mem::take(&mut hazard.painters);
    // Nobody was here, so nobody had to be looked at in the meantime.
    let empty = painters.iter().all(|it| !is_here(it.at, then));
    if is_a_minute || empty {
        let passed = passed.min(EMPTY);
        wait_for_comers(hazard, now - passed, passed);
    }
    for stay in here(snapshot) {
        let known = painters
            .iter()
            .position(|it| it.user == stay.user)
            .map(|at| painters.swap_remove(at));
        // Against what the tick before saw of them, not against its time: a request may have been written just after it.
        let before = known.as_ref().map_or(Some(then - FAR), |it| it.asked_at);
        let asks = stay.asked_at > before && stay.asked_at <= Some(now);
        asked += u32::from(asks);
        let mut next = seen(known.as_ref(), stay);
        match known.filter(|it| is_here(it.at, then)) {
            Some(before) if is_a_minute => {
                count(hazard, &before, stay, asks, then, minutes(passed), &mut next.frailty);
            }
            Some(_) => {}
            None => {
                let comers = &mut hazard.comers[hour(now)];
                comers.asks += f64::from(u8::from(asks));
                comers.returns += f64::from(u8::from(!asks && stay.at > then));
            }
        }
        hazard.painters.push(next);
    }
    // Those who are gone: their time counts until they were.
    let mut gone = painters;
    gone.sort_by_key(|it| Reverse(it.at));
    hazard.painters.extend(gone);
    hazard.painters.truncate(MOST);
    asked
}

fn wait_for_comers(hazard: &mut Hazard, mut from: Millis, mut passed: Duration) {
    // A week has so many hours, begun ones included.
    for _ in 0..=24 * 7 + 1 {
        let to_next = Duration::from_millis(3_600_000 - from.0 % 3_600_000).min(passed);
        hazard.comers[hour(from)].minutes += minutes(to_next);
        from = from + to_next;
        passed -= to_next;
    }
}

/// Counts what one painter did who was here.
fn count(
    hazard: &mut Hazard,
    before: &Painter,
    stay: &Presence,
    asks: bool,
    then: Millis,
    passed: f64,
    own: &mut Frailty,
) {
    let situation = Situation::of(before, then);
    let expected = situation.chances(hazard).asks * passed;
    let returns = !asks && situation.silent >= QUIET && stay.at > before.at;
    let cell = hazard.cells.entry(situation.cell()).or_default();
    cell.minutes += passed;
    cell.asks += f64::from(u8::from(asks));
    cell.returns += f64::from(u8::from(returns));
    let hours = &mut hazard.hours[hour(then)];
    hours.expected += expected * times(*own);
    own.expected += expected;
    for asked in [&mut hours.asks, &mut own.asks] {
        *asked += f64::from(u8::from(asks));
    }
}

/// What the minute costs by both rules, each on a machine of its own.
fn compare(hazard: &mut Hazard, snapshot: &PoolSnapshot<'_>, asked: u32, passed: Duration) {
    let now = snapshot.now;
    let settings = snapshot.settings;
    let busy = snapshot.in_state(WorkerState::Busy).next().is_some();
    if asked > 0 || busy || snapshot.wanted().next().is_some() {
        hazard.worked = now;
    }
    if !presence::all_watched(snapshot.presence, now) {
        // Fixed times decide, whatever was learned.
        (hazard.fixed.on, hazard.learned.on) = (None, None);
        return;
    }
    let idle = now.since(hazard.worked);
    let present = snapshot
        .presence
        .iter()
        .any(|stay| presence::keeps_worker(stay, settings, now));
    let long = idle >= settings.idle_stop;
    let fixed = present || hazard.fixed.on.is_some() && idle < settings.idle_watched;
    let learned = match hazard.learned.on {
        Some(_) => idle.is_zero() || is_kept(hazard, snapshot, now),
        None => is_started(hazard, snapshot, now),
    };
    let start = estimate::start(snapshot.estimates);
    let prices = Prices::of(snapshot);
    goes_on(&mut hazard.fixed, fixed && !long, asked, now, start, passed, prices);
    goes_on(&mut hazard.learned, learned && !long, asked, now, start, passed, prices);
}

/// One machine's minute: `asked` requests came, and then it was to be on or not.
fn goes_on(course: &mut Course, on: bool, asked: u32, now: Millis, start: Duration, passed: Duration, prices: Prices) {
    match course.on {
        Some(since) => {
            let came = now.since(since);
            if came >= start {
                course.usd += prices.minute * minutes(passed.min(came.saturating_sub(start)));
            } else if asked > 0 && came + Duration::from_mins(1) < start {
                course.usd += prices.wait * f64::from(asked);
            }
        }
        None => course.usd += prices.wait * f64::from(asked),
    }
    let coming = course.on.is_some_and(|since| now.since(since) < start);
    course.on = match course.on {
        Some(since) if on || asked > 0 || coming => Some(since),
        None if on || asked > 0 => {
            course.usd += prices.start();
            Some(now)
        }
        Some(_) | None => None,
    };
    course.usd = storable(course.usd);
}
