//! Which parts an index has, and which of them new entries go into. Pure.

use std::collections::{BTreeMap, BTreeSet};

use model::Millis;
use serde::{Deserialize, Serialize};

use super::entry::Entry;

/// Most entries of a part. A page is read from one or two of them, and a search looks through as many at once.
pub const PART: usize = 500;

/// The parts of an index, newest first: the one object by which all of them are found.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The parts.
    #[serde(default)]
    pub parts: Vec<Part>,
}

/// A part of an index: entries of one month.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Part {
    /// When the newest of its tasks was submitted.
    pub newest: Millis,
    /// When the oldest was.
    pub oldest: Millis,
    /// How many entries it has.
    pub count: usize,
    /// Its month and a hash of what is in it: where it lies.
    pub name: String,
}

impl Part {
    /// The part of these entries, which are sorted newest first, under this name.
    pub fn of(entries: &[Entry], name: String) -> Self {
        let created = |entry: Option<&Entry>| entry.map_or(Millis(0), |it| it.task.created);
        Self {
            newest: created(entries.first()),
            oldest: created(entries.last()),
            count: entries.len(),
            name,
        }
    }

    fn is_of(&self, month: &str) -> bool {
        self.name.strip_prefix(month).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// New entries and the parts that they are put together with: places in [`Head::parts`].
#[derive(Debug, Default, PartialEq)]
pub struct Merge {
    /// Which parts are read and replaced.
    pub parts: BTreeSet<usize>,
    /// What comes to them.
    pub entries: Vec<Entry>,
}

impl Head {
    /// What is to be done to take in these entries, by month. Entries newer than all of a full newest part begin another.
    pub fn plan(&self, entries: Vec<Entry>) -> BTreeMap<String, Merge> {
        let mut months: BTreeMap<String, Merge> = BTreeMap::new();
        for entry in entries {
            let month = entry.task.created.month();
            let merge = months.entry(month.clone()).or_default();
            merge.parts.extend(self.touched(&month, entry.task.created));
            merge.entries.push(entry);
        }
        months
    }

    fn touched(&self, month: &str, created: Millis) -> Option<usize> {
        let mut parts = self.parts.iter().enumerate().filter(|(_, part)| part.is_of(month));
        let (first, newest) = parts.clone().next()?;
        if created > newest.newest {
            return (newest.count < PART).then_some(first);
        }
        // The part that has it, or the one before the gap that it falls into.
        let found = parts.find(|(_, part)| created >= part.oldest).map(|(at, _)| at);
        found.or_else(|| self.parts.iter().rposition(|part| part.is_of(month)))
    }

    /// The head with the parts at these places replaced.
    #[must_use]
    pub fn replaced(&self, gone: &BTreeSet<usize>, new: Vec<Part>) -> Self {
        let left = self.parts.iter().enumerate().filter(|(at, _)| !gone.contains(at));
        let mut parts: Vec<_> = left.map(|(_, part)| part.clone()).chain(new).collect();
        parts.sort_by(|one, other| other.cmp(one));
        parts.dedup();
        Self { parts }
    }
}

/// Old and new entries as one list, newest first, each task once: the new one counts. In parts of at most [`PART`], as even as
/// can be.
pub fn merged(old: Vec<Entry>, new: Vec<Entry>) -> Vec<Vec<Entry>> {
    let all = old.into_iter().chain(new);
    let by_task: BTreeMap<_, _> = all.map(|entry| (entry.place(), entry)).collect();
    let mut sorted: Vec<_> = by_task.into_values().rev().collect();
    let mut parts = Vec::new();
    let mut left = sorted.len().div_ceil(PART);
    while left > 0 {
        let rest = sorted.split_off(sorted.len().div_ceil(left));
        parts.push(std::mem::replace(&mut sorted, rest));
        left -= 1;
    }
    parts
}
