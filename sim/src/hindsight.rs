//! What the best rule could do that sees no more than ours, and knows how this very demand goes on from what it sees.
//!
//! What clients show is put into situations, minute by minute: how long ago somebody asked, whether and since when somebody
//! is here who has asked for nothing yet, how long everybody has been silent, how many are here, and how fast the one who
//! asked last asks; at choice the hour of the day, too. How often one situation follows another is counted over the whole
//! demand, and what is best to do in each follows by value iteration, at a price of a wait. That rule then runs the very
//! machines that ours does. It is fitted to what it is judged by, so that no rule that has to learn can be hoped to do as
//! well.

use std::collections::BTreeMap;

use crate::{
    demand::Demand,
    signals::{Shown, Signals, signs},
    world::World,
};

const MINUTE: u64 = 60_000;
/// Minutes of a day.
const DAY: u64 = 1440;
/// Who is silent for longer begins a new stay, minutes.
const STAY: f64 = 5.0;
/// Who is silent for longer is not there any more, minutes.
const GONE: f64 = 60.0;
/// Minutes since a request; since the begin of a stay; of silence; between requests.
const ASKED: [f64; 9] = [1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0, 60.0];
const BEGUN: [f64; 3] = [2.0, 5.0, 30.0];
const SILENT: [f64; 5] = [1.5, 2.5, 4.0, 7.0, 15.0];
const GAP: [f64; 2] = [2.0, 10.0];
/// What is later by a minute counts as much less.
const DISCOUNT: f64 = 0.999;
const ROUNDS: usize = 4000;

/// A minute as it was seen at its end.
#[derive(Debug, Clone, Copy)]
struct Minute {
    situation: usize,
    /// Requests in it.
    asks: u32,
    /// The last sign in it, milliseconds.
    sign: Option<u64>,
}

/// A demand minute by minute.
#[derive(Debug)]
pub struct Past {
    minutes: Vec<Minute>,
    situations: usize,
}

/// What a rule is fitted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// The days that it is judged by.
    Same,
    /// Every second day, those before and after the one that it is judged by: as much as could be learned.
    Others,
}

#[derive(Debug, Clone, Copy)]
struct Stay {
    since: u64,
    at: u64,
    asked: Option<u64>,
    gap: u64,
}

impl Past {
    /// What clients show of this demand. `hours`: by the hour of the day, too.
    pub fn of(demand: &Demand, world: &World, signals: Signals, hours: bool) -> Self {
        let shown = signs(demand, world, signals);
        let asks = demand.requests.iter().map(|it| (it.at, it.user, true));
        let seen = |it: &Shown| (it.at, it.user, false);
        let mut events: Vec<_> = shown.iter().map(seen).chain(asks).collect();
        events.sort_unstable();
        let mut events = events.into_iter().peekable();
        let mut stays: BTreeMap<u32, Stay> = BTreeMap::new();
        let mut numbers = BTreeMap::new();
        let mut minutes = Vec::new();
        for minute in 0..demand.days * 24 * 60 {
            let end = (minute + 1) * MINUTE;
            let (mut asks, mut sign) = (0, None);
            while let Some((at, user, asked)) = events.next_if(|it| it.0 < end) {
                sign = Some(at);
                asks += u32::from(asked);
                stays
                    .entry(user)
                    .and_modify(|stay| stay.goes_on(at, asked))
                    .or_insert(Stay {
                        since: at,
                        at,
                        asked: asked.then_some(at),
                        gap: u64::MAX,
                    });
            }
            stays.retain(|_, stay| minutes_since(stay.at, end) < GONE);
            let mut situation = situation(&stays, end);
            if hours {
                situation.push((minute / 60 % 24) as usize);
            }
            let count = numbers.len();
            minutes.push(Minute {
                situation: *numbers.entry(situation).or_insert(count),
                asks,
                sign,
            });
        }
        Self {
            minutes,
            situations: numbers.len(),
        }
    }

    /// How many situations there are.
    pub fn situations(&self) -> usize {
        self.situations
    }

    /// What follows each situation on these days.
    fn follows(&self, of: impl Fn(u64) -> bool) -> Vec<Vec<(usize, u32, f64)>> {
        let mut counted = vec![BTreeMap::new(); self.situations];
        let pairs = self.minutes.iter().zip(self.minutes.iter().skip(1));
        for ((now, next), minute) in pairs.zip(0_u64..) {
            if of(minute / DAY) {
                *counted[now.situation].entry((next.situation, next.asks)).or_insert(0.0) += 1.0;
            }
        }
        let next = counted.into_iter().map(|of_one| {
            let all: f64 = of_one.values().sum();
            let shares = of_one.into_iter();
            shares.map(|((next, asks), count)| (next, asks, count / all)).collect()
        });
        next.collect()
    }

    /// When a machine is to be up from then on, or not, where a wait is worth so many minutes of it: milliseconds since the
    /// demand's first midnight.
    pub fn schedule(&self, wait: f64, fit: Fit) -> Vec<(u64, bool)> {
        let rules = match fit {
            Fit::Same => {
                let rule = best(&self.follows(|_| true), wait);
                [rule.clone(), rule]
            }
            Fit::Others => [1, 0].map(|other| best(&self.follows(|day| day % 2 == other), wait)),
        };
        let mut changes = Vec::new();
        let (mut machine, mut up) = (OFF, false);
        for (number, minute) in self.minutes.iter().enumerate() {
            if minute.asks > 0 && machine == OFF {
                machine = COMING;
            }
            let wanted = machine == COMING
                || rules[usize::from(number as u64 / DAY % 2 == 1)][minute.situation][usize::from(machine == ON)];
            let end = (number as u64 + 1) * MINUTE;
            if wanted != up {
                changes.push((minute.sign.filter(|_| wanted).unwrap_or(end), wanted));
                up = wanted;
            }
            machine = match machine {
                OFF if wanted => COMING,
                COMING | ON if wanted => ON,
                _ => OFF,
            };
        }
        changes
    }
}

/// By situation, whether a machine that is off is to be started, and whether one that is on is to stay.
fn best(follows: &[Vec<(usize, u32, f64)>], wait: f64) -> Vec<[bool; 2]> {
    let mut values = vec![[0.0; 3]; follows.len()];
    let mut rule = vec![[false; 2]; follows.len()];
    for _ in 0..ROUNDS {
        let mut change = 0.0_f64;
        for (situation, next) in follows.iter().enumerate() {
            if next.is_empty() {
                // Never seen on the days that it is fitted to. Somebody is there: nobody is what is seen most.
                rule[situation] = [true; 2];
                continue;
            }
            let (mut off, mut starts, mut comes) = (0.0, 1.0, 1.0);
            for &(next, asks, share) in next {
                let value: &[f64; 3] = &values[next];
                let lost = wait * f64::from(asks);
                let without = if asks > 0 {
                    0.5 + DISCOUNT * value[COMING]
                } else {
                    DISCOUNT * value[OFF]
                };
                off += share * (lost + without);
                starts += share * (lost + DISCOUNT * value[COMING]);
                comes += share * DISCOUNT * value[ON];
            }
            rule[situation] = [starts < off, comes < off];
            let better = [starts.min(off), comes, comes.min(off)];
            for (old, new) in values[situation].iter_mut().zip(better) {
                change = change.max((*old - new).abs());
                *old = new;
            }
        }
        if change < 1e-4 {
            break;
        }
    }
    rule
}

/// A machine: off, ready in the next minute, on.
const OFF: usize = 0;
const COMING: usize = 1;
const ON: usize = 2;

impl Stay {
    fn goes_on(&mut self, at: u64, asked: bool) {
        if minutes_since(self.at, at) >= STAY {
            (self.since, self.asked, self.gap) = (at, None, u64::MAX);
        }
        self.at = at;
        if asked {
            self.gap = self.asked.map_or(u64::MAX, |before| at - before);
            self.asked = Some(at);
        }
    }
}

fn minutes_since(then: u64, now: u64) -> f64 {
    now.saturating_sub(then) as f64 / MINUTE as f64
}

fn bin(edges: &[f64], value: f64) -> usize {
    edges.iter().filter(|edge| value >= **edge).count()
}

fn situation(stays: &BTreeMap<u32, Stay>, now: u64) -> Vec<usize> {
    if stays.is_empty() {
        return Vec::new();
    }
    let last = stays.values().filter(|it| it.asked.is_some()).max_by_key(|it| it.asked);
    let new = stays.values().filter(|it| it.asked.is_none()).map(|it| it.since).max();
    let silent = stays.values().map(|it| it.at).max().unwrap_or_default();
    let here = stays.values().filter(|it| minutes_since(it.at, now) < STAY);
    vec![
        last.and_then(|it| it.asked)
            .map_or(ASKED.len() + 1, |it| bin(&ASKED, minutes_since(it, now))),
        new.map_or(BEGUN.len() + 1, |it| bin(&BEGUN, minutes_since(it, now))),
        bin(&SILENT, minutes_since(silent, now)),
        here.count().min(2),
        last.map_or(0, |it| bin(&GAP, it.gap as f64 / MINUTE as f64)),
    ]
}
