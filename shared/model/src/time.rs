use std::{
    ops::{Add, Sub},
    time::Duration,
};

use jiff::{
    Timestamp,
    civil::{Date, Time},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};

/// A moment: milliseconds since the Unix epoch, UTC.
///
/// Clocks of different machines differ, so differences saturate at zero instead of wrapping.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// Time from `earlier` to this moment; zero if `earlier` is in fact later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since the epoch, as DynamoDB's TTL and JWT want them.
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// The month, `yyyy-mm`, UTC. A later month is a greater text.
    pub fn month(self) -> String {
        self.date().strftime("%Y-%m").to_string()
    }

    /// The day, `yyyy-mm-dd`, UTC. A later day is a greater text.
    pub fn day(self) -> String {
        self.date().strftime("%Y-%m-%d").to_string()
    }

    /// When this day began, `yyyy-mm-dd`, UTC; none if the text is no day that has a moment.
    pub fn of_day(text: &str) -> Option<Self> {
        let day: Date = text.parse().ok().filter(|_| text.len() == 10)?;
        let began = TimeZone::UTC.to_timestamp(day.to_datetime(Time::midnight())).ok()?;
        u64::try_from(began.as_millisecond()).ok().map(Self)
    }

    /// As people write it: `2026-09-01 12:00:00 UTC`.
    pub fn written(self) -> String {
        let seconds = i64::try_from(self.seconds()).unwrap_or(i64::MAX);
        let at = Timestamp::from_second(seconds).unwrap_or_default();
        at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
    }

    /// When that month began.
    #[must_use]
    pub fn month_began(self) -> Self {
        let first = self.date().first_of_month().to_datetime(Time::midnight());
        let began = TimeZone::UTC.to_timestamp(first).unwrap_or_default();
        Self(u64::try_from(began.as_millisecond()).unwrap_or(0))
    }

    /// When the day of this moment began, UTC.
    #[must_use]
    pub const fn day_began(self) -> Self {
        const DAY: u64 = 24 * 60 * 60 * 1000;
        Self(self.0 - self.0 % DAY)
    }

    /// The day, UTC; the first of all for a moment that no calendar has.
    fn date(self) -> Date {
        let seconds = i64::try_from(self.seconds()).unwrap_or(i64::MAX);
        let at = Timestamp::from_second(seconds).unwrap_or_default();
        TimeZone::UTC.to_datetime(at).date()
    }
}

impl Add<Duration> for Millis {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(rhs.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub<Duration> for Millis {
    type Output = Self;
    fn sub(self, rhs: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(rhs.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_turn_at_midnight_utc() {
        let november = Millis(1_793_491_200_000);
        assert_eq!(
            (november.month().as_str(), november.month_began()),
            ("2026-11", november)
        );
        let before = Millis(november.0 - 1);
        assert_eq!(before.month(), "2026-10");
        assert_eq!(november.since(before.month_began()), Duration::from_hours(31 * 24));
        assert_eq!(Millis::of_day(&november.day()), Some(november));
        for none in ["", "2026-13-01", "2026-1-1", "1969-12-31", "tomorrow", "2026-11-01T10"] {
            assert_eq!(Millis::of_day(none), None, "{none}");
        }
        for odd in [Millis(0), Millis(u64::MAX)] {
            assert_eq!((odd.month().as_str(), odd.month_began()), ("1970-01", Millis(0)));
        }
    }
}
