//! Taking records into an index.

use std::collections::BTreeSet;

use bytes::Bytes;
use cloud::{
    Bucket,
    bucket::{Expect, LISTED},
    chain,
};
use model::Task;
use sha2::{Digest, Sha256};
use tracing::{error, warn};

use super::{Entry, Head, Part, Scope, head, merged, part, put_head, read::readable};
use crate::{HistoryError, lines, packed};

/// Most attempts, when others write the same index.
const ATTEMPTS: usize = 8;

/// Takes entries into an index: each task is in it once, however often it is taken in.
pub async fn take_in(bucket: &Bucket, scope: &Scope, entries: &[Entry]) -> Result<(), HistoryError> {
    for _ in 0..ATTEMPTS {
        if attempt(bucket, scope, entries).await? {
            return Ok(());
        }
    }
    Err(HistoryError::Busy(scope.head_key()))
}

/// False: somebody else has written the index in between.
async fn attempt(bucket: &Bucket, scope: &Scope, entries: &[Entry]) -> Result<bool, HistoryError> {
    let (before, etag) = head(bucket, scope).await?;
    let (mut gone, mut new) = (BTreeSet::new(), Vec::new());
    for (month, merge) in before.plan(entries.to_vec()) {
        let mut old = Vec::new();
        for at in merge.parts {
            // What is damaged stays as it is, for whoever can mend it, and takes nothing along.
            match part(bucket, scope, &before.parts[at]).await {
                Ok(Some(found)) => old.extend(found),
                Ok(None) => warn!(
                    index = scope.folder(),
                    part = before.parts[at].name,
                    "a part of an index is gone"
                ),
                Err(problem @ HistoryError::Damaged { .. }) => {
                    error!(
                        error = chain(&problem),
                        "a part of an index cannot be read and stays as it is"
                    );
                    continue;
                }
                Err(problem) => return Err(problem),
            }
            gone.insert(at);
        }
        for entries in merged(old, merge.entries) {
            new.push(put_part(bucket, scope, &month, &entries).await?);
        }
    }
    finish(bucket, scope, &before, etag.as_deref(), (gone, new)).await
}

/// Takes a task out of an index.
pub async fn take_out(bucket: &Bucket, scope: &Scope, task: &Task) -> Result<(), HistoryError> {
    for _ in 0..ATTEMPTS {
        if attempt_out(bucket, scope, task).await? {
            return leftovers(bucket, scope, task).await;
        }
    }
    Err(HistoryError::Busy(scope.head_key()))
}

/// False: somebody else has written the index in between.
async fn attempt_out(bucket: &Bucket, scope: &Scope, task: &Task) -> Result<bool, HistoryError> {
    let (before, etag) = head(bucket, scope).await?;
    let may_have = |part: &Part| part.oldest <= task.created && task.created <= part.newest;
    let (mut gone, mut new) = (BTreeSet::new(), Vec::new());
    for (at, which) in before.parts.iter().enumerate().filter(|(_, part)| may_have(part)) {
        let Some(entries) = part(bucket, scope, which).await? else {
            continue;
        };
        let count = entries.len();
        let left: Vec<_> = entries
            .into_iter()
            .filter(|it| it.task.task_id != task.task_id)
            .collect();
        if left.len() == count {
            continue;
        }
        gone.insert(at);
        let month = task.created.month();
        for entries in merged(left, Vec::new()) {
            new.push(put_part(bucket, scope, &month, &entries).await?);
        }
    }
    finish(bucket, scope, &before, etag.as_deref(), (gone, new)).await
}

/// Changes the entry of a task where the index has one, and nothing else: false if it has none.
pub async fn change(bucket: &Bucket, scope: &Scope, task: &Task) -> Result<bool, HistoryError> {
    for _ in 0..ATTEMPTS {
        if let Some(found) = attempt_change(bucket, scope, task).await? {
            return Ok(found);
        }
    }
    Err(HistoryError::Busy(scope.head_key()))
}

/// None: somebody else has written the index in between.
async fn attempt_change(bucket: &Bucket, scope: &Scope, task: &Task) -> Result<Option<bool>, HistoryError> {
    let (before, etag) = head(bucket, scope).await?;
    let may_have = |part: &Part| part.oldest <= task.created && task.created <= part.newest;
    for (at, which) in before.parts.iter().enumerate().filter(|(_, part)| may_have(part)) {
        let mut entries = readable(bucket, scope, which).await?.unwrap_or_default();
        let Some(entry) = entries.iter_mut().find(|it| it.task.task_id == task.task_id) else {
            continue;
        };
        entry.task = task.clone();
        let new = put_part(bucket, scope, &task.created.month(), &entries).await?;
        let finished = finish(
            bucket,
            scope,
            &before,
            etag.as_deref(),
            (BTreeSet::from([at]), vec![new]),
        )
        .await?;
        return Ok(finished.then_some(true));
    }
    Ok(Some(false))
}

/// Deletes parts that the head does not name and that have this task: what somebody who was cut off has left.
async fn leftovers(bucket: &Bucket, scope: &Scope, task: &Task) -> Result<(), HistoryError> {
    let (now, _) = head(bucket, scope).await?;
    let named: BTreeSet<_> = now.parts.iter().map(|it| scope.part_key(it)).collect();
    let (month, id) = (task.created.month(), task.task_id.to_string());
    let prefix = format!("{}{month}/", scope.folder());
    let mut after: Option<String> = None;
    loop {
        let keys = bucket.list(&prefix, after.as_deref()).await?;
        for key in keys.iter().filter(|key| !named.contains(*key)) {
            if let Some(object) = bucket.read(key).await?
                && lines(key, &object.bytes)?.iter().any(|line| line.contains(&id))
            {
                bucket.delete(key).await?;
            }
        }
        if keys.len() < LISTED {
            return Ok(());
        }
        after = keys.into_iter().next_back();
    }
}

/// Puts the head with these parts exchanged, if it is still as it was read.
async fn finish(
    bucket: &Bucket,
    scope: &Scope,
    before: &Head,
    etag: Option<&str>,
    (gone, new): (BTreeSet<usize>, Vec<Part>),
) -> Result<bool, HistoryError> {
    let after = before.replaced(&gone, new);
    if after == *before {
        return Ok(true);
    }
    if !put_head(bucket, scope, &after, etag).await? {
        return Ok(false);
    }
    for at in gone {
        let old = &before.parts[at];
        if !after.parts.iter().any(|part| part.name == old.name) {
            // A part that nobody names costs next to nothing.
            if let Err(problem) = bucket.delete(&scope.part_key(old)).await {
                warn!(error = chain(&problem), "a part that was replaced is left behind");
            }
        }
    }
    Ok(true)
}

async fn put_part(bucket: &Bucket, scope: &Scope, month: &str, entries: &[Entry]) -> Result<Part, HistoryError> {
    let lines: Result<Vec<_>, _> = entries.iter().map(serde_json::to_string).collect();
    let lines = lines?;
    let file: Bytes = packed(lines.iter().map(String::as_str));
    let hash = Sha256::digest(&file);
    let hash = u64::from_be_bytes(hash.first_chunk().copied().unwrap_or_default());
    let part = Part::of(entries, format!("{month}/{hash:016x}"));
    bucket.put_if(&scope.part_key(&part), file, Expect::Anything).await?;
    Ok(part)
}
