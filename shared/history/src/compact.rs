//! A day's records put together: one file of a team's day instead of one of each task, and their entries in the indexes.

use std::collections::{BTreeMap, BTreeSet};

use cloud::{
    Bucket,
    bucket::{Expect, LISTED},
    chain,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use model::Millis;
use serde::Deserialize;
use tracing::{error, info};

use crate::{
    HistoryError, Record,
    index::{Entry, Scope, take_in},
    lines, packed,
    record::{ARCHIVE, day_key},
};

/// How many days are looked at each time: a record that comes later than that stays a file of its own, and in no index.
pub const DAYS: u64 = 40;
/// Most files read, and indexes written, at once.
const AT_ONCE: usize = 16;
/// Most files of a team's day that are put together at once: what a function has memory for.
const FILES: usize = 5000;
/// Most attempts to write a file that others write too.
const ATTEMPTS: usize = 8;

/// What came of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Records that were put together with the others of their day.
    pub records: usize,
    /// Files that cannot be read, and stay.
    pub damaged: usize,
    /// Days and teams for which something went wrong: what is left of them is done the next time.
    pub failed: usize,
}

/// Puts together what lies by itself of the [`DAYS`] days before this one. What fails of a team's day keeps no other from being
/// done, and loses nothing: a file goes last, when its record is in the day's and in the indexes.
pub async fn compact(bucket: &Bucket, now: Millis) -> Compacted {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let mut all = Compacted::default();
    for before in 1..=DAYS {
        let day = Millis(now.0.saturating_sub(before * DAY)).day();
        let teams = match loose(bucket, &day).await {
            Ok(teams) => teams,
            Err(problem) => {
                error!(day, error = chain(&problem), "the records of a day could not be listed");
                all.failed += 1;
                continue;
            }
        };
        for (team, keys) in teams {
            match put_together(bucket, &day, &team, &keys).await {
                Ok(done) => {
                    info!(
                        day,
                        team,
                        records = done.records,
                        damaged = done.damaged,
                        "records put together"
                    );
                    all.records += done.records;
                    all.damaged += done.damaged;
                }
                Err(problem) => {
                    error!(
                        day,
                        team,
                        error = chain(&problem),
                        "the records of a day could not be put together"
                    );
                    all.failed += 1;
                }
            }
        }
    }
    all
}

/// Files of single records of that day, by team.
async fn loose(bucket: &Bucket, day: &str) -> Result<BTreeMap<String, Vec<String>>, HistoryError> {
    let prefix = format!("{ARCHIVE}day={day}/");
    let mut teams: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let keys = bucket.list(&prefix, after.as_deref()).await?;
        let full = keys.len() >= LISTED;
        after = keys.last().cloned();
        for key in keys {
            let team = key.strip_prefix(&prefix).and_then(|rest| rest.strip_prefix("team="));
            if let Some((team, _)) = team.and_then(|rest| rest.rsplit_once('/'))
                && key != day_key(day, team)
            {
                let files = teams.entry(team.to_owned()).or_default();
                if files.len() < FILES {
                    files.push(key);
                }
            }
        }
        if !full {
            return Ok(teams);
        }
    }
}

async fn put_together(bucket: &Bucket, day: &str, team: &str, keys: &[String]) -> Result<Compacted, HistoryError> {
    let read = keys.iter().map(async |key| match read(bucket, key).await {
        Err(problem @ HistoryError::Damaged { .. }) => {
            error!(error = chain(&problem), "a record cannot be read and stays where it is");
            Ok(None)
        }
        read => read.map(|lines| Some((key, lines))),
    });
    let read: Vec<_> = stream::iter(read).buffered(AT_ONCE).try_collect().await?;
    let good: Vec<_> = read.into_iter().flatten().collect();
    let new: Vec<String> = good.iter().flat_map(|(_, lines)| lines.clone()).collect();
    if !new.is_empty() {
        // First, so that what cannot go into a day's file that is damaged is in the lists all the same.
        index(bucket, &new).await?;
        write_day(bucket, &day_key(day, team), &new).await?;
    }
    let gone = good.iter().map(async |(key, _)| bucket.delete(key).await);
    let _: Vec<()> = stream::iter(gone).buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(Compacted {
        records: new.len(),
        damaged: keys.len() - good.len(),
        failed: 0,
    })
}

/// Lines of a file; none if it is gone by now.
async fn read(bucket: &Bucket, key: &str) -> Result<Vec<String>, HistoryError> {
    match bucket.read(key).await? {
        Some(object) => lines(key, &object.bytes),
        None => Ok(Vec::new()),
    }
}

async fn write_day(bucket: &Bucket, key: &str, new: &[String]) -> Result<(), HistoryError> {
    for _ in 0..ATTEMPTS {
        let found = bucket.read(key).await?;
        let old = match &found {
            Some(object) => lines(key, &object.bytes)?,
            None => Vec::new(),
        };
        let all = newest(old.iter().chain(new));
        let expect = found
            .as_ref()
            .map_or(Expect::Nothing, |object| Expect::Etag(&object.etag));
        if bucket.put_if(key, packed(all), expect).await? {
            return Ok(());
        }
    }
    Err(HistoryError::Busy(key.to_owned()))
}

/// What tells two records of a task apart.
#[derive(Debug, Default, Deserialize)]
struct Which {
    #[serde(default)]
    task_id: String,
    #[serde(default)]
    last_run: Option<Run>,
}

#[derive(Debug, Deserialize)]
struct Run {
    run_id: String,
}

/// Each task's line once, that with the newest run; of the same run the last. A line that says no task stays.
fn newest<'a>(all: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    let mut found: BTreeMap<String, (Option<String>, &str)> = BTreeMap::new();
    let mut odd = Vec::new();
    for line in all {
        let which: Which = serde_json::from_str(line).unwrap_or_default();
        if which.task_id.is_empty() {
            odd.push(line.as_str());
            continue;
        }
        let run = which.last_run.map(|run| run.run_id);
        match found.get(&which.task_id) {
            Some((before, _)) if *before > run => {}
            _ => drop(found.insert(which.task_id, (run, line))),
        }
    }
    odd.sort_unstable();
    odd.dedup();
    found.into_values().map(|(_, line)| line).chain(odd).collect()
}

/// Takes these records into the index of each whom they concern.
async fn index(bucket: &Bucket, lines: &[String]) -> Result<(), HistoryError> {
    let mut scopes: BTreeMap<Scope, Vec<Entry>> = BTreeMap::new();
    for line in lines {
        let record: Record = match serde_json::from_str(line) {
            Ok(record) => record,
            Err(problem) => {
                error!(error = chain(&problem), "a record cannot be read and is in no index");
                continue;
            }
        };
        let entry = Entry::from(&record);
        let of: BTreeSet<_> = Scope::of(&record.task).collect();
        for scope in of {
            scopes.entry(scope).or_default().push(entry.clone());
        }
    }
    let taken = scopes
        .iter()
        .map(async |(scope, entries)| take_in(bucket, scope, entries).await);
    stream::iter(taken).buffer_unordered(AT_ONCE).try_collect().await
}
