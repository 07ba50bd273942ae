//! Rate limit: the generic cell rate algorithm (ITU-T I.371), a token bucket whose whole state is one moment.

use std::time::Duration;

use model::Millis;

/// How fast requests may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Least time between two in the long run; zero: no limit.
    pub interval: Duration,
    /// How many may come at once; zero counts as one.
    pub burst: u32,
}

/// Lets a request pass or not. `due`: the state, the moment at which the bucket is full again. The answer is the next
/// state, to be written on the condition that the old one still holds; or how long to wait before asking again.
pub fn take(due: Millis, rate: Rate, now: Millis) -> Result<Millis, Duration> {
    let room = rate.interval.saturating_mul(rate.burst.max(1));
    // A state further ahead than a full bucket is another clock's or another limit's: it counts as an empty bucket.
    let due = due.max(now).min(now + room);
    let next = due + rate.interval;
    let over = next.since(now + room);
    if over.is_zero() { Ok(next) } else { Err(over) }
}
