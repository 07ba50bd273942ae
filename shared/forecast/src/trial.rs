//! Who has earned to act: every member forecasts from its past alone, and is held against what came.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{
    members::{Member, Quantiles, members},
    series::{DAY, HOUR, Series},
};

/// The quantile that the floor is set by.
const QUANTILE: f64 = 0.9;
/// Days that a member is judged by, and those that it takes until any may act.
const JUDGED: usize = 14 * DAY;
const EVIDENCE: usize = 3 * DAY;
/// Scores that a correction needs; before, the spread is taken as that of a Poisson process.
const SCORES: usize = 100;
const POISSON: f64 = 1.28;
/// How many of the best are averaged.
const BEST: usize = 3;

/// How good the forecasts of a span were.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Score {
    /// Mean absolute error of the median, requests an hour.
    pub mae: f64,
    /// Mean pinball loss of the ninth of ten (Koenker and Bassett 1978), requests an hour.
    pub pinball: f64,
    /// Share of hours that stayed within the ninth of ten.
    pub coverage: f64,
    /// Forecasts.
    pub count: usize,
}

/// One member and its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// Its score.
    pub score: Score,
}

/// A forecast that was given.
#[derive(Debug, Clone, Copy)]
struct Given {
    at: usize,
    raw: Quantiles,
    p90: f64,
}

/// What was said and how it stands, to be kept from one run to the next. Slots are counted since 1970.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Who acts.
    pub acting: Option<String>,
    /// Whose mean is taken.
    pub best: Vec<String>,
    /// The slot in which that was chosen.
    pub chosen: Option<u64>,
    /// The slot of the last correction, and the corrections by name.
    pub corrected: Option<u64>,
    /// By what the ninth of ten is corrected, in spreads, by name.
    pub corrections: BTreeMap<String, f64>,
    /// What each said, by name: the slot, the median, the ninth of ten before and after the correction.
    pub given: BTreeMap<String, Vec<(u64, f32, f32, f32)>>,
}

/// All members, what they said, and who acts.
pub struct Trial {
    members: Vec<Box<dyn Member>>,
    names: Vec<String>,
    given: Vec<VecDeque<Given>>,
    corrections: Vec<f64>,
    best: Vec<usize>,
    acting: Option<usize>,
    learned: Option<usize>,
    chosen: Option<usize>,
    corrected: Option<usize>,
}

impl Trial {
    /// The members with `seed`, none of which has said anything.
    pub fn new(seed: u64) -> Self {
        Self::with(members(seed))
    }

    /// These members, the simplest first; their mean comes last.
    pub fn with(members: Vec<Box<dyn Member>>) -> Self {
        let names: Vec<String> = members
            .iter()
            .map(|it| it.name().to_owned())
            .chain(["mean of the best".to_owned()])
            .collect();
        Self {
            given: vec![VecDeque::new(); names.len()],
            corrections: vec![POISSON; names.len()],
            best: (0..members.len()).collect(),
            members,
            names,
            acting: None,
            learned: None,
            chosen: None,
            corrected: None,
        }
    }

    /// These members, with what is known of them, on a series that begins with the slot `first`. What the record says of
    /// others, or of what was before, is forgotten.
    pub fn resume(members: Vec<Box<dyn Member>>, record: &Record, first: u64) -> Self {
        let mut trial = Self::with(members);
        let place = |slot: u64| slot.checked_sub(first).and_then(|it| usize::try_from(it).ok());
        let named = |trial: &Self, name: &String| trial.names.iter().position(|it| it == name);
        trial.acting = record.acting.as_ref().and_then(|it| named(&trial, it));
        let best = record.best.iter().filter_map(|it| named(&trial, it));
        let best: Vec<_> = best.filter(|it| *it < trial.members.len()).collect();
        if !best.is_empty() {
            trial.best = best;
        }
        trial.chosen = record.chosen.and_then(place);
        trial.corrected = record.corrected.and_then(place);
        for (member, name) in trial.names.iter().enumerate() {
            if let Some(correction) = record.corrections.get(name).filter(|it| it.is_finite()) {
                trial.corrections[member] = *correction;
            }
            let given = record.given.get(name).into_iter().flatten();
            let known = given.filter_map(|(slot, p50, raw, p90)| {
                let [p50, raw, p90] = [*p50, *raw, *p90].map(f64::from);
                Some(Given {
                    at: place(*slot)?,
                    raw: Quantiles { p50, p90: raw }.ordered(),
                    p90,
                })
            });
            trial.given[member] = known.filter(|it| it.p90.is_finite()).collect();
        }
        trial
    }

    /// What is to be kept of it, on a series that begins with the slot `first`.
    pub fn record(&self, first: u64) -> Record {
        let slot = |at: usize| first + at as u64;
        let name = |it: usize| self.names[it].clone();
        Record {
            acting: self.acting.map(name),
            best: self.best.iter().copied().map(name).collect(),
            chosen: self.chosen.map(slot),
            corrected: self.corrected.map(slot),
            corrections: self
                .names
                .iter()
                .cloned()
                .zip(self.corrections.iter().copied())
                .collect(),
            given: self
                .names
                .iter()
                .zip(&self.given)
                .map(|(name, given)| {
                    let short = |it: &Given| (slot(it.at), it.raw.p50 as f32, it.raw.p90 as f32, it.p90 as f32);
                    (name.clone(), given.iter().map(short).collect())
                })
                .collect(),
        }
    }

    /// The members, to keep what they know.
    pub fn members(&self) -> &[Box<dyn Member>] {
        &self.members
    }

    /// Who acts: nobody before there is evidence.
    pub fn acting(&self) -> Option<&str> {
        self.acting.map(|it| self.names[it].as_str())
    }

    /// The names, the simplest first.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The members learn from what was before `at`, which takes seconds.
    pub fn learn(&mut self, series: &Series, at: usize) {
        self.learned = Some(at);
        for member in &mut self.members {
            member.learn(series, at);
        }
    }

    /// [`Trial::say`], learning once a day.
    pub fn step(&mut self, series: &Series, at: usize) -> Vec<Quantiles> {
        if self.learned.is_none_or(|then| at >= then + DAY) {
            self.learn(series, at);
        }
        self.say(series, at)
    }

    /// Forecasts the hour that begins at `at`, choosing who acts once a day and correcting once an hour, from what was
    /// before. Returns every member's forecast, in the order of [`Trial::names`].
    pub fn say(&mut self, series: &Series, at: usize) -> Vec<Quantiles> {
        // A clock that jumped forward and back, or the same call twice: what was said of this moment and later is void.
        for given in &mut self.given {
            while given.back().is_some_and(|it| it.at >= at) {
                given.pop_back();
            }
        }
        let due = |then: Option<usize>, every: usize| then.is_none_or(|then| at >= then + every || at < then);
        if due(self.chosen, DAY) {
            self.chosen = Some(at);
            self.choose(series, at);
        }
        if due(self.corrected, HOUR) {
            self.corrected = Some(at);
            for member in 0..self.names.len() {
                self.corrections[member] = self.correction(series, member, at);
            }
        }
        let mut raw: Vec<Quantiles> = self.members.iter().map(|it| it.predict(series, at)).collect();
        let mean = |which: fn(&Quantiles) -> f64| {
            self.best.iter().map(|it| which(&raw[*it])).sum::<f64>() / self.best.len().max(1) as f64
        };
        raw.push(Quantiles {
            p50: mean(|it| it.p50),
            p90: mean(|it| it.p90),
        });
        for (member, raw) in raw.iter_mut().enumerate() {
            let said = *raw;
            raw.p90 = said.p90 + self.corrections[member] * spread(&said);
            *raw = raw.ordered();
            let given = &mut self.given[member];
            given.push_back(Given {
                at,
                raw: said,
                p90: raw.p90,
            });
            while given.front().is_some_and(|it| it.at + JUDGED + HOUR < at) {
                given.pop_front();
            }
        }
        raw
    }

    /// The forecast of whoever acts, of those that [`Trial::step`] returned.
    pub fn acts(&self, said: &[Quantiles]) -> Option<Quantiles> {
        self.acting.and_then(|it| said.get(it)).copied()
    }

    /// How each did on the last 14 days whose truth is known at `now`.
    pub fn standings(&self, series: &Series, now: usize) -> Vec<Standing> {
        let all = self.names.iter().zip(&self.given);
        all.map(|(name, given)| Standing {
            name: name.clone(),
            score: judged(series, given, now),
        })
        .collect()
    }

    /// A less simple one only while it beats every simpler one.
    fn choose(&mut self, series: &Series, now: usize) {
        let scores: Vec<Score> = self.given.iter().map(|given| judged(series, given, now)).collect();
        let first = self.given[0].front().map_or(now, |it| it.at);
        if now - first < EVIDENCE {
            self.acting = None;
            return;
        }
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        order.sort_by(|left, right| scores[*left].pinball.total_cmp(&scores[*right].pinball));
        order.truncate(BEST);
        self.best = order;
        let mut acting = 0;
        for member in 1..scores.len() {
            if scores[member].pinball < scores[acting].pinball {
                acting = member;
            }
        }
        self.acting = Some(acting);
    }

    /// What the ninth of ten lacks by the last 14 days (split conformal, Vovk et al. 2005; relative to the spread).
    fn correction(&self, series: &Series, member: usize, now: usize) -> f64 {
        let known = self.given[member].iter().filter(|it| it.at + HOUR <= now);
        let mut scores: Vec<f64> = known
            .map(|it| (series.hour(it.at) - it.raw.p90) / spread(&it.raw))
            .collect();
        if scores.len() < SCORES {
            return POISSON;
        }
        let at = ((scores.len() + 1) as f64 * QUANTILE).ceil() as usize - 1;
        let at = at.min(scores.len() - 1);
        *scores.select_nth_unstable_by(at, f64::total_cmp).1
    }
}

/// How far hours stray from such a forecast, about: that of a Poisson process and a share of the level.
fn spread(said: &Quantiles) -> f64 {
    (said.p50 + 0.5 + 0.02 * said.p50 * said.p50).sqrt()
}

fn judged(series: &Series, given: &VecDeque<Given>, now: usize) -> Score {
    let known = given.iter().filter(|it| it.at + HOUR <= now);
    score(known.map(|it| {
        (
            Quantiles {
                p50: it.raw.p50,
                p90: it.p90,
            },
            series.hour(it.at),
        )
    }))
}

/// The score of forecasts and what came.
pub(crate) fn score(pairs: impl Iterator<Item = (Quantiles, f64)>) -> Score {
    let mut score = Score::default();
    for (said, truth) in pairs {
        let error = truth - said.p90;
        score.mae += (truth - said.p50).abs();
        score.pinball += (QUANTILE * error).max((QUANTILE - 1.0) * error);
        score.coverage += f64::from(u8::from(truth <= said.p90));
        score.count += 1;
    }
    let count = score.count.max(1) as f64;
    Score {
        mae: score.mae / count,
        pinball: score.pinball / count,
        coverage: score.coverage / count,
        ..score
    }
}

impl Score {
    /// The score of forecasts and what came.
    pub fn of(pairs: &[(Quantiles, f64)]) -> Self {
        score(pairs.iter().copied())
    }
}
