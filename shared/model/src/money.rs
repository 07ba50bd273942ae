use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An amount of money: millionths of a US dollar.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroUsd(pub u64);

impl MicroUsd {
    /// What one credit is worth: US$ 0.001 of GPU time.
    pub const CREDIT: Self = Self(1000);

    /// So many credits.
    pub const fn of_credits(credits: u64) -> Self {
        Self(credits.saturating_mul(Self::CREDIT.0))
    }

    /// What so much time costs at this price of an hour, rounded up.
    pub fn of_time(time: Duration, hour: Self) -> Self {
        const HOUR: u128 = 60 * 60 * 1000;
        let cost = time.as_millis().saturating_mul(u128::from(hour.0)).div_ceil(HOUR);
        Self(u64::try_from(cost).unwrap_or(u64::MAX))
    }

    /// Whole credits, rounded down: what is left of a budget.
    pub const fn credits_left(self) -> u64 {
        self.0 / Self::CREDIT.0
    }

    /// Whole credits, rounded up: what something costs.
    pub const fn credits_needed(self) -> u64 {
        self.0.div_ceil(Self::CREDIT.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_rounded_up_and_never_wrap() {
        let hour = MicroUsd(1_006_000);
        assert_eq!(MicroUsd::of_time(Duration::from_hours(1), hour), hour);
        assert_eq!(MicroUsd::of_time(Duration::from_millis(1), hour), MicroUsd(1));
        assert_eq!(MicroUsd::of_time(Duration::ZERO, hour), MicroUsd(0));
        assert_eq!(MicroUsd::of_time(Duration::MAX, MicroUsd(u64::MAX)), MicroUsd(u64::MAX));
        assert_eq!(MicroUsd::of_credits(u64::MAX), MicroUsd(u64::MAX));
        assert_eq!((MicroUsd(1001).credits_left(), MicroUsd(1001).credits_needed()), (1, 2));
    }
}
