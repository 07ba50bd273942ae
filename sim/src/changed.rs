//! A demand that is not as it was: what was learned of it is wrong from one day to the next.

use crate::demand::{Demand, Request};

const DAY_MS: u64 = 86_400_000;

/// A demand that is not as it was, and who asks for more than a fair share of it.
#[derive(Debug)]
pub struct Changed {
    /// What has changed.
    pub what: &'static str,
    /// The demand.
    pub demand: Demand,
    /// The number of the painter who floods it.
    pub flooder: Option<u32>,
}

impl Demand {
    /// Each change that a studio may meet.
    pub fn changed(&self) -> Vec<Changed> {
        let (third, half) = (self.days / 3, self.days / 2);
        let usual = |what, demand| Changed {
            what,
            demand,
            flooder: None,
        };
        vec![
            usual("a holiday of a week", self.holiday(third, third + 7)),
            usual("a week with twice the painters", self.deadline(half, half + 7)),
            usual(
                "everybody an hour later from the middle on",
                self.later(half, 3_600_000),
            ),
            usual("a month without requests in the middle", self.away(half)),
            Changed {
                what: "one painter asks each minute for three days",
                demand: self.pestered(third, third + 3),
                flooder: Some(self.painters()),
            },
        ]
    }

    /// The same with other requests.
    fn with(&self, name: &str, mut requests: Vec<Request>) -> Self {
        requests.retain(|request| request.at < self.days * DAY_MS);
        requests.sort_by_key(|request| request.at);
        Self {
            name: format!("{}, {name}", self.name),
            requests,
            days: self.days,
        }
    }

    /// Nobody asks for anything on days `from` to `until`, not included.
    #[must_use]
    pub fn holiday(&self, from: u64, until: u64) -> Self {
        let works = |request: &&Request| !(from..until).contains(&(request.at / DAY_MS));
        self.with("holiday", self.requests.iter().filter(works).cloned().collect())
    }

    /// On days `from` to `until`, not included, there is a second painter beside each, who does the same a quarter of an hour
    /// later.
    #[must_use]
    pub fn deadline(&self, from: u64, until: u64) -> Self {
        let hurries = |request: &&Request| (from..until).contains(&(request.at / DAY_MS));
        let painters = self.painters();
        let second = self.requests.iter().filter(hurries).map(|request| Request {
            at: request.at + 15 * 60_000,
            user: request.user + painters,
            ..request.clone()
        });
        self.with("deadline", self.requests.iter().cloned().chain(second).collect())
    }

    /// From this day on everybody comes so much later by UTC, as when clocks change.
    #[must_use]
    pub fn later(&self, from: u64, by_ms: u64) -> Self {
        let moved = self.requests.iter().map(|request| Request {
            at: request.at + if request.at / DAY_MS >= from { by_ms } else { 0 },
            ..request.clone()
        });
        self.with("later", moved.collect())
    }

    /// One painter more, who asks for a picture every minute of days `from` to `until`, not included.
    #[must_use]
    pub fn pestered(&self, from: u64, until: u64) -> Self {
        let Some(usual) = self.requests.first() else {
            return self.clone();
        };
        let user = self.painters();
        let flood = (from * 1440..until * 1440).map(|minute| Request {
            at: minute * 60_000,
            user,
            ..usual.clone()
        });
        self.with("pestered", self.requests.iter().cloned().chain(flood).collect())
    }

    /// A month in which nobody asks for anything comes before this day.
    #[must_use]
    pub fn away(&self, from: u64) -> Self {
        const MONTH: u64 = 30;
        let moved = self.requests.iter().map(|request| Request {
            at: request.at + if request.at / DAY_MS >= from { MONTH * DAY_MS } else { 0 },
            ..request.clone()
        });
        let longer = Self {
            days: self.days + MONTH,
            ..self.clone()
        };
        longer.with("away", moved.collect())
    }
}
