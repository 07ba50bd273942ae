//! What was counted may have gaps, be doubled, negative, absurd or of another time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::series::{DAY, Series};

/// Longest history: thirteen months.
const LONGEST: u64 = 396 * DAY as u64;
/// A slot counts at most so many times what nine of ten slots with demand stay below: an attack teaches little.
const ABSURD: f64 = 5.0;

/// What was counted in five minutes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Count {
    /// Which five minutes, in slots since 1970.
    pub slot: u64,
    /// How much.
    pub value: f64,
}

/// A series, and what was wrong with what it was made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Cleaned {
    /// Counts without a gap.
    pub series: Series,
    /// Counts that were left out: negative, no number, of the future, too old or doubled.
    pub dropped: usize,
    /// Counts that were cut to what is believable.
    pub cut: usize,
}

/// The counts before the slot `now`, in order and without a gap: where nothing was counted, nothing was asked for.
/// Of doubled slots the larger counts.
pub fn clean(counts: &[Count], now: u64) -> Cleaned {
    let oldest = now.saturating_sub(LONGEST);
    let mut kept = BTreeMap::new();
    let mut dropped = 0;
    for count in counts {
        if !count.value.is_finite() || count.value < 0.0 || count.slot >= now || count.slot < oldest {
            dropped += 1;
            continue;
        }
        kept.entry(count.slot)
            .and_modify(|value: &mut f64| {
                dropped += 1;
                *value = value.max(count.value);
            })
            .or_insert(count.value);
    }
    let Some(&first) = kept.keys().next() else {
        return Cleaned {
            series: Series::new(now, Vec::new()),
            dropped,
            cut: 0,
        };
    };
    let most = believable(&kept);
    let mut cut = 0;
    let mut values = vec![0.0; (now - first) as usize];
    for (slot, value) in kept {
        if value > most {
            cut += 1;
        }
        values[(slot - first) as usize] = value.min(most);
    }
    Cleaned {
        series: Series::new(first, values),
        dropped,
        cut,
    }
}

/// A few slots that stand far out are cut; with little to compare with, all are believed up to a bound.
fn believable(kept: &BTreeMap<u64, f64>) -> f64 {
    let mut asked: Vec<f64> = kept.values().copied().filter(|value| *value > 0.0).collect();
    asked.sort_by(f64::total_cmp);
    let high = asked.get(asked.len() * 9 / 10).copied().unwrap_or(1.0);
    if asked.len() < 50 {
        10_000.0
    } else {
        (high * ABSURD).min(1e6)
    }
}
