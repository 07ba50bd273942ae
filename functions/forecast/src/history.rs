//! Counts as series.

use std::collections::BTreeMap;

use cloud::{Store, StoreError, tables::DemandOf};
use forecast::{Cleaned, Count, DAY, clean, slot};
use model::{DemandCount, PoolId};
use serde::{Deserialize, Serialize};

/// Days that are learned from, and some more: the shape of the oldest of them needs days before it.
const DAYS: u64 = 42;

/// What was counted in a slot, as it is kept beside what was learned from it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept(pub(crate) u64, pub(crate) f32, pub(crate) f32);

impl From<&DemandCount> for Kept {
    fn from(count: &DemandCount) -> Self {
        Self(
            slot(count.at),
            count.arrivals as f32,
            (count.gpu_ms as f64 / 1000.0) as f32,
        )
    }
}

/// The two series of a pool.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) arrivals: Cleaned,
    pub(crate) gpu_s: Cleaned,
}

impl History {
    /// Counts before the slot `now`; where both know a slot, what was read lately counts.
    pub(crate) fn of(kept: &[Kept], lately: &[Kept], now: u64) -> Self {
        let oldest = now.saturating_sub(DAYS * DAY as u64);
        let slots: BTreeMap<u64, Kept> = kept.iter().chain(lately).map(|it| (it.0, *it)).collect();
        let counts = |value: fn(&Kept) -> f32| -> Vec<Count> {
            let known = slots.range(oldest..).map(|(slot, it)| Count {
                slot: *slot,
                value: f64::from(value(it)),
            });
            known.collect()
        };
        Self {
            arrivals: clean(&counts(|it| it.1), now),
            gpu_s: clean(&counts(|it| it.2), now),
        }
    }

    /// Counts that could not be believed.
    pub(crate) const fn disbelieved(&self) -> usize {
        self.arrivals.dropped + self.arrivals.cut + self.gpu_s.cut
    }
}

/// What was counted from the slot `from` on, or somewhat more; at most what is learned from.
pub(crate) async fn counted(store: &Store, pool: &PoolId, from: u64, now: u64) -> Result<Vec<DemandCount>, StoreError> {
    let slots = now.saturating_sub(from).min(DAYS * DAY as u64) + 1;
    store
        .list(DemandOf(pool, u32::try_from(slots).unwrap_or(u32::MAX)))
        .await
}

/// The slot from which on anything is learned from.
pub(crate) const fn oldest(now: u64) -> u64 {
    now.saturating_sub(DAYS * DAY as u64)
}
