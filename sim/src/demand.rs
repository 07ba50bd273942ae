//! What painters ask for: read from a trace, or painted by a model of a studio.

use std::collections::BTreeMap;

use model::Lane;
use serde::Deserialize;

use crate::chance::Chance;

/// A request for pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Milliseconds since the demand's first midnight.
    pub at: u64,
    /// Number of the painter.
    pub user: u32,
    /// Number of the model.
    pub model: u32,
    /// How urgent it is.
    pub lane: Lane,
    /// Work in steps of one picture; a batch of eight costs a third more than one picture, as recorded in the service
    /// trace (medians 19, 21, 23 and 25 s for 1, 2, 4 and 8 pictures).
    pub work: f64,
}

/// Requests in order of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    /// What it is, for tables.
    pub name: String,
    /// The requests.
    pub requests: Vec<Request>,
    /// Whole days it covers.
    pub days: u64,
}

/// A trace cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DemandError {
    /// A line is not as its header says.
    #[error("the trace is not a CSV file with the columns `t` or `minute,count`")]
    Csv(#[from] csv::Error),
    /// Nothing can be learned from nothing.
    #[error("the trace has no requests with a time that can be used")]
    Empty,
    /// More than fits.
    #[error("the trace has more than {MOST} requests; thin it out with --keep")]
    Large,
}

/// Most requests of a demand.
const MOST: usize = 2_000_000;
/// Longest trace: a year.
const LONGEST_S: f64 = 366.0 * 86_400.0;
const DAY_MS: u64 = 86_400_000;
const USUAL_STEPS: f64 = 30.0;

#[derive(Debug, Deserialize)]
struct Row {
    t: Option<f64>,
    minute: Option<f64>,
    count: Option<f64>,
    user: Option<String>,
    n_img: Option<f64>,
    steps: Option<f64>,
    model: Option<String>,
}

impl Demand {
    /// Reads a trace: one request a line (`t` in seconds; `user`, `model`, `steps` and `n_img` where known), or a
    /// `count` of requests a `minute`. Keeps this share of the requests, chosen by the seed.
    pub fn read(name: &str, text: &[u8], keep: f64, seed: u64) -> Result<Self, DemandError> {
        let mut requests = Vec::new();
        let (mut users, mut models) = (Names::default(), Names::default());
        for (line, row) in csv::Reader::from_reader(text).deserialize().enumerate() {
            let row: Row = row?;
            let mut chance = Chance::new(seed, "keep", line as u64);
            let count = row.count.unwrap_or(1.0).clamp(0.0, 1e5) as u64;
            let start = row.t.or(row.minute.map(|minute| minute * 60.0));
            let Some(start) = start.filter(|t| (0.0..LONGEST_S).contains(t)) else {
                continue;
            };
            for _ in 0..count {
                if !chance.happens(keep) {
                    continue;
                }
                if requests.len() == MOST {
                    return Err(DemandError::Large);
                }
                let within = if row.t.is_some() {
                    0.0
                } else {
                    chance.between(0.0, 60.0)
                };
                let pictures = row.n_img.unwrap_or(1.0).clamp(1.0, 64.0);
                let steps = row.steps.unwrap_or(USUAL_STEPS).clamp(1.0, 150.0);
                requests.push(Request {
                    at: ((start + within) * 1000.0) as u64,
                    user: users.number(row.user.as_deref().unwrap_or_default()),
                    model: models.number(row.model.as_deref().unwrap_or_default()),
                    lane: Lane::Interactive,
                    work: work(steps, pictures),
                });
            }
        }
        Self::of(name, requests).ok_or(DemandError::Empty)
    }

    /// These requests; none without any.
    pub fn of(name: &str, mut requests: Vec<Request>) -> Option<Self> {
        requests.sort_by_key(|request| request.at);
        let first = requests.first()?.at / DAY_MS;
        let last = requests.last()?.at / DAY_MS;
        for request in &mut requests {
            request.at -= first * DAY_MS;
        }
        Some(Self {
            name: name.to_owned(),
            requests,
            days: last - first + 1,
        })
    }

    /// A studio of this many painters for some weeks: they come on weekdays, in sessions of requests with a median gap
    /// of 73 s (the service trace's), each with some favourite models.
    pub fn painted(painters: u32, days: u64, seed: u64) -> Option<Self> {
        let mut requests = Vec::new();
        for user in 0..painters {
            for day in 0..days {
                let mut chance = Chance::new(seed, "day", u64::from(user) << 32 | day);
                let workday = day % 7 < 5;
                if !chance.happens(if workday { 0.6 } else { 0.1 }) {
                    continue;
                }
                let mut at = chance.between(8.5, 17.0) * 3600.0;
                for _ in 0..chance.whole(1, 3) {
                    let favourite = user % 5 + 7 * u32::from(chance.happens(0.2));
                    for _ in 0..chance.whole(2, 14) {
                        let pictures = if chance.happens(0.3) { 4.0 } else { 1.0 };
                        requests.push(Request {
                            at: day * DAY_MS + (at * 1000.0) as u64,
                            user,
                            model: favourite,
                            lane: Lane::Interactive,
                            work: work(USUAL_STEPS, pictures),
                        });
                        at += chance.lognormal(73.0, 1.1).min(3600.0);
                    }
                    at += chance.lognormal(5400.0, 0.5);
                }
            }
        }
        requests.retain(|request| request.at < days * DAY_MS);
        Self::of("painted", requests)
    }

    /// The same over this many models. Of fewer than it has, the rarest are others' instead, by turns; of more, half the painters
    /// use another one in place of each of the most used ones.
    #[must_use]
    pub fn over(&self, models: u32) -> Self {
        let mut counts = BTreeMap::new();
        for request in &self.requests {
            *counts.entry(request.model).or_insert(0_u64) += 1;
        }
        let mut ranked: Vec<_> = counts.into_iter().collect();
        ranked.sort_by_key(|(model, count)| (std::cmp::Reverse(*count), *model));
        let ranks: BTreeMap<_, _> = ranked
            .iter()
            .zip(0_u32..)
            .map(|((model, _), rank)| (*model, rank))
            .collect();
        let known = u32::try_from(ranked.len()).unwrap_or(u32::MAX);
        let mut requests = self.requests.clone();
        for request in &mut requests {
            let rank = ranks[&request.model];
            let other = request.user % 2 == 1 && rank < models.saturating_sub(known);
            request.model = if other { known + rank } else { rank % models.max(1) };
        }
        Self {
            name: format!("{}, {models} models", self.name),
            requests,
            days: self.days,
        }
    }

    /// The same with one painter more, who sends this many requests of the batch lane at once, each day at each hour
    /// given.
    #[must_use]
    pub fn flooded(&self, variants: u64, hours: &[u64]) -> Self {
        let user = self.painters();
        let flood = (0..self.days).flat_map(|day| hours.iter().map(move |hour| day * DAY_MS + hour * 3_600_000));
        let flood = flood.flat_map(|at| (0..variants).map(move |n| at + n * 200));
        let mut requests = self.requests.clone();
        requests.extend(flood.map(|at| Request {
            at,
            user,
            model: 0,
            lane: Lane::Batch,
            work: work(USUAL_STEPS, 1.0),
        }));
        requests.sort_by_key(|request| request.at);
        Self {
            name: format!("{}, flooded", self.name),
            requests,
            days: self.days,
        }
    }

    /// How many painters there are.
    pub fn painters(&self) -> u32 {
        self.requests.iter().map(|request| request.user + 1).max().unwrap_or(0)
    }

    /// The day with the most requests.
    pub fn busiest_day(&self) -> u64 {
        let mut counts = BTreeMap::new();
        for request in &self.requests {
            *counts.entry(request.at / DAY_MS).or_insert(0_u64) += 1;
        }
        counts
            .into_iter()
            .max_by_key(|(_, count)| *count)
            .map_or(0, |(day, _)| day)
    }
}

fn work(steps: f64, pictures: f64) -> f64 {
    steps * (1.0 + 0.045 * (pictures - 1.0))
}

#[derive(Default)]
struct Names(BTreeMap<String, u32>);

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        let next = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        *self.0.entry(name.to_owned()).or_insert(next)
    }
}
