//! Who is here, with what is known of them.

use std::{cmp::Reverse, time::Duration};

use model::{Hazard, Millis, Painter, Presence};

use crate::snapshot::PoolSnapshot;

/// Most painters that are looked at and remembered; of more, those that were here last.
pub(super) const MOST: usize = 64;
/// A painter is here until they have been silent for this long.
const HERE: Duration = Duration::from_hours(1);

pub(super) fn is_here(at: Millis, now: Millis) -> bool {
    now.since(at) < HERE
}

/// Those who are here, who came last first.
pub(super) fn here<'a>(snapshot: &PoolSnapshot<'a>) -> Vec<&'a Presence> {
    let mut stays: Vec<_> = snapshot
        .presence
        .iter()
        .filter(|it| is_here(it.at, snapshot.now))
        .collect();
    stays.sort_by_key(|stay| Reverse(stay.at));
    stays.truncate(MOST);
    stays
}

/// The same, with what was seen of them before.
pub(super) fn known(hazard: &Hazard, snapshot: &PoolSnapshot<'_>) -> Vec<Painter> {
    let known = |stay: &Presence| hazard.painters.iter().find(|it| it.user == stay.user);
    here(snapshot).into_iter().map(|stay| seen(known(stay), stay)).collect()
}

/// A painter as their stay shows them.
pub(super) fn seen(known: Option<&Painter>, stay: &Presence) -> Painter {
    let before = known.and_then(|it| it.asked_at);
    let gap_ms = match (before, stay.asked_at) {
        (Some(before), Some(asked)) if asked > before => Some(asked.0 - before.0),
        _ => known.and_then(|it| it.gap_ms),
    };
    Painter {
        user: stay.user.clone(),
        since: stay.since,
        at: stay.at,
        asked_at: stay.asked_at,
        gap_ms,
        watched: stay.watched,
        frailty: known.map(|it| it.frailty).unwrap_or_default(),
    }
}
