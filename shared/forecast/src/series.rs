//! Demand as counts of five minutes.

/// Seconds of a slot.
pub const SLOT_SECONDS: u64 = 300;
/// Slots of an hour.
pub const HOUR: usize = 12;
/// Slots of a day.
pub const DAY: usize = 288;
/// Days that the daily shape looks back, and how much each day counts less than the one after it.
const DAYS: usize = 21;
const FADE: f64 = 0.85;
/// Days of its own that a studio needs until they weigh as much as the shape that everybody begins with.
const PRIOR_DAYS: f64 = 1.0;

/// Counts without a gap, and the sums that make any span of them cheap.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    first: u64,
    values: Vec<f64>,
    sums: Vec<f64>,
}

impl Series {
    /// Values from the slot `first` on (in slots since 1970).
    pub fn new(first: u64, values: Vec<f64>) -> Self {
        let mut sums = Vec::with_capacity(values.len() + 1);
        let mut sum = 0.0;
        sums.push(sum);
        for value in &values {
            sum += value;
            sums.push(sum);
        }
        Self { first, values, sums }
    }

    /// The slot with which it begins, in slots since 1970.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The counts themselves.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The sum of `[from, to)`; what lies outside counts nothing.
    pub fn sum(&self, from: usize, to: usize) -> f64 {
        let to = to.min(self.len());
        let from = from.min(to);
        self.sums[to] - self.sums[from]
    }

    /// What the hour that begins at `at` asked for: the truth that a forecast is held against.
    pub fn hour(&self, at: usize) -> f64 {
        self.sum(at, at + HOUR)
    }

    /// What was asked for in the `slots` before `at`.
    pub fn before(&self, at: usize, slots: usize) -> f64 {
        self.sum(at.saturating_sub(slots), at)
    }

    /// The mean of an hour over at most the last three weeks before `at`.
    pub fn usual(&self, at: usize) -> f64 {
        let span = at.min(DAYS * DAY);
        if span == 0 {
            return 0.0;
        }
        self.before(at, span) * HOUR as f64 / span as f64
    }

    /// What the hour that begins at `hour` asked for on the days before `known`, later days counting more. In the first
    /// days a shape that everybody begins with stands in, and fades as days of its own come.
    pub fn shape(&self, hour: usize, known: usize) -> f64 {
        let (mut sum, mut weight, mut factor) = (0.0, 0.0, 1.0);
        for day in 1..=DAYS {
            let Some(at) = hour.checked_sub(day * DAY) else { break };
            if at + HOUR > known {
                continue;
            }
            sum += factor * self.hour(at);
            weight += factor;
            factor *= FADE;
        }
        let own = (known / DAY) as f64;
        let prior = PRIOR_DAYS / (1.0 + own * own);
        (sum + prior * self.usual(known) * self.prior(hour)) / (weight + prior)
    }

    /// The level of the last hours against what the shape says of them; one hour of the mean is added to both, so that a
    /// quiet night says little.
    pub fn level(&self, at: usize) -> f64 {
        let mut expected = 0.0;
        let mut counted = 0.0;
        for hour in 1..=3 {
            let Some(from) = at.checked_sub(hour * HOUR) else { break };
            let weight = 1.0 / hour as f64;
            expected += weight * self.shape(from, from);
            counted += weight * self.hour(from);
        }
        let calm = 0.5 + 0.3 * self.usual(at);
        ((counted + calm) / (expected + calm)).clamp(0.1, 10.0)
    }

    /// Share of the usual hour before a studio has shown its own: a working day, UTC, and quiet weekends.
    fn prior(&self, hour: usize) -> f64 {
        let slot = self.first as usize + hour;
        // The first of January 1970 was a Thursday.
        let weekend = matches!((slot / DAY + 3) % 7, 5 | 6);
        let at = (slot % DAY) as f64 / HOUR as f64;
        let day = if (8.0..19.0).contains(&at) { 1.9 } else { 0.25 };
        if weekend { day * 0.4 } else { day }
    }
}
