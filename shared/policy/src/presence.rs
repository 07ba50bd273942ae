//! Who is at their canvas, and what follows from it.

use std::time::Duration;

use model::{Millis, PoolId, Presence, Settings, UserId};

/// Signs of the same painter within this time are one: presence is to be minutes exact, and writes cost.
const GRAIN: Duration = Duration::from_mins(1);
/// How long a stay is remembered after its end.
const REMEMBERED: Duration = Duration::from_hours(1);
/// A sign from further in the future is some broken clock's.
const SKEW: Duration = Duration::from_mins(1);

/// What a painter's client showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// An authenticated call.
    Call,
    /// Activity on the canvas, which only some clients report.
    Canvas,
    /// A request for a picture.
    Ask,
}

/// The stay after this sign, if that is worth writing down.
pub fn noted(
    known: Option<&Presence>,
    pool: &PoolId,
    user: &UserId,
    sign: Sign,
    settings: &Settings,
    now: Millis,
) -> Option<Presence> {
    let last = known.filter(|it| it.pool == *pool && is_present(it, settings, now));
    let watched = sign == Sign::Canvas || last.is_some_and(|it| it.watched);
    let fresh = |at| now.since(at) < GRAIN;
    let says_so =
        |it: &Presence| fresh(it.at) && it.watched == watched && (sign != Sign::Ask || it.asked_at.is_some_and(fresh));
    if last.is_some_and(says_so) {
        return None;
    }
    let at = last.map_or(now, |it| it.at.max(now));
    Some(Presence {
        pool: pool.clone(),
        user: user.clone(),
        version: known.map_or(0, |it| it.version),
        since: last.map_or(now, |it| it.since),
        at,
        asked_at: if sign == Sign::Ask {
            Some(now)
        } else {
            last.and_then(|it| it.asked_at)
        },
        watched,
        ttl: (at + REMEMBERED).seconds(),
    })
}

/// Whether two signs of a painter are so near to each other that the second need not be looked up.
pub fn is_one_sign(first: Millis, second: Millis) -> bool {
    second.since(first) < GRAIN / 2
}

/// Whether the pool is to be looked at as soon as this stay is written: it begins with this sign. A request for a picture
/// brings a look of its own.
pub fn wakes(stay: &Presence, sign: Sign) -> bool {
    stay.since == stay.at && sign != Sign::Ask
}

/// Whether the painter counts as present.
pub fn is_present(presence: &Presence, settings: &Settings, now: Millis) -> bool {
    presence.at <= now + SKEW && now.since(presence.at) < settings.presence
}

/// Whether the stay is worth a worker: not once the painter has asked for nothing in the time after which an idle
/// worker stops whatever anybody says. Otherwise it would be started again at once.
pub fn keeps_worker(presence: &Presence, settings: &Settings, now: Millis) -> bool {
    let asked = presence.asked_at.unwrap_or(presence.since).max(presence.since);
    is_present(presence, settings, now) && now.since(asked) < settings.idle_stop
}

/// Whether silence means that nobody is there: everybody who was here lately has a client that reports the canvas.
pub fn all_watched(stays: &[Presence], now: Millis) -> bool {
    let mut lately = stays.iter().filter(|it| now.since(it.at) < REMEMBERED).peekable();
    lately.peek().is_some() && lately.all(|it| it.watched)
}
