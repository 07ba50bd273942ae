//! What painters' clients show of them besides their requests.

use std::collections::BTreeMap;

use policy::presence::Sign;

use crate::{chance::Chance, demand::Demand, world::World};

/// What clients report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signals {
    /// Nothing but the requests.
    None,
    /// A call when Krita starts.
    Start,
    /// Activity on the canvas, with pauses.
    Canvas,
    /// The same of painters who never pause, which is too kind an assumption.
    Unbroken,
}

/// A sign of a painter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown {
    /// Milliseconds since the demand's first midnight.
    pub at: u64,
    /// Who.
    pub user: u32,
    /// On the canvas; otherwise a call.
    pub canvas: bool,
}

impl Shown {
    /// As `policy` knows it.
    pub fn sign(self) -> Sign {
        if self.canvas { Sign::Canvas } else { Sign::Call }
    }
}

/// Activity is reported at most this often, as our own extension does.
const EVERY_MS: u64 = 60_000;

/// What is reported of activity at these moments, in order: the first one, and then each that is long enough after the last
/// report.
pub fn reported(activity: impl IntoIterator<Item = u64>) -> impl Iterator<Item = u64> {
    let mut last: Option<u64> = None;
    activity.into_iter().filter(move |&at| {
        let due = last.is_none_or(|last| at.saturating_sub(last) >= EVERY_MS);
        if due {
            last = Some(at);
        }
        due
    })
}

/// Somebody who paints does something this often.
const STROKE_MS: usize = 2000;

/// The signs for this demand, in order of time.
pub fn signs(demand: &Demand, world: &World, signals: Signals) -> Vec<Shown> {
    let mut times: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for request in &demand.requests {
        times.entry(request.user).or_default().push(request.at);
    }
    let mut shown = Vec::new();
    for (&user, times) in &times {
        match signals {
            Signals::None => {}
            Signals::Start => starts(user, times, world, &mut shown),
            Signals::Canvas => canvas(user, times, world, true, &mut shown),
            Signals::Unbroken => canvas(user, times, world, false, &mut shown),
        }
    }
    shown.sort_unstable();
    shown
}

fn lead(user: u32, at: u64, world: &World) -> u64 {
    let (low, high) = world.painters.lead_s;
    millis(Chance::new(world.seed, "lead", at ^ u64::from(user) << 40).between(low, high))
}

fn starts(user: u32, times: &[u64], world: &World, shown: &mut Vec<Shown>) {
    let mut last = None;
    for &at in times {
        if last.is_none_or(|last| at - last > millis(world.painters.restart_s)) {
            let at = at.saturating_sub(lead(user, at, world));
            shown.push(Shown {
                at,
                user,
                canvas: false,
            });
            alarm(user, at, world, |at| {
                shown.push(Shown {
                    at,
                    user,
                    canvas: false,
                });
            });
        }
        last = Some(at);
    }
}

fn canvas(user: u32, times: &[u64], world: &World, pausing: bool, shown: &mut Vec<Shown>) {
    let mut stays: Vec<(u64, u64)> = Vec::new();
    let mut alarms = Vec::new();
    for &at in times {
        let begin = at.saturating_sub(lead(user, at, world));
        let end = at + millis(world.painters.linger_s);
        match stays.last_mut() {
            Some(stay) if begin <= stay.1 => stay.1 = stay.1.max(end),
            _ => {
                stays.push((begin, end));
                alarm(user, at, world, |at| alarms.push((at, at + lead(user, at, world))));
            }
        }
    }
    for (begin, end) in stays.into_iter().chain(alarms) {
        let stretches = if pausing {
            stretches(user, begin, end, world)
        } else {
            vec![(begin, end)]
        };
        let strokes = stretches
            .into_iter()
            .flat_map(|(begin, end)| (begin..=end).step_by(STROKE_MS));
        let signs = reported(strokes);
        shown.extend(signs.map(|at| Shown { at, user, canvas: true }));
    }
}

/// The times of a stay in which there is activity: from its begin on, with pauses between.
fn stretches(user: u32, begin: u64, end: u64, world: &World) -> Vec<(u64, u64)> {
    let pauses = world.painters.pauses;
    let mut chance = Chance::new(world.seed, "pauses", begin ^ u64::from(user) << 40);
    let mut stretches = Vec::new();
    let mut at = begin;
    while at <= end {
        // Of at least a second, so that a stay has an end whatever is assumed.
        let until = at + millis(chance.exponential(pauses.every_s).max(1.0));
        stretches.push((at, until.min(end)));
        at = until + millis(chance.lognormal(pauses.median_s, pauses.sigma).min(pauses.most_s));
    }
    stretches
}

/// Now and then somebody opens Krita some hours later and asks for nothing.
fn alarm(user: u32, at: u64, world: &World, mut push: impl FnMut(u64)) {
    let mut chance = Chance::new(world.seed, "alarm", at ^ u64::from(user) << 40);
    if chance.happens(world.painters.false_alarms) {
        push(at + millis(chance.between(3600.0, 8.0 * 3600.0)));
    }
}

/// Seconds as whole milliseconds.
pub fn millis(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1000.0) as u64
}
