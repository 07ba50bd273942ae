//! Reading from an index.

use std::ops::RangeInclusive;

use cloud::{Bucket, chain};
use model::{Millis, TaskId};
use tracing::error;

use super::{Entry, Part, Place, Scope, head, part};
use crate::HistoryError;

/// What was found of an index.
#[derive(Debug, Default)]
pub struct Looked {
    /// Entries, newest first.
    pub entries: Vec<Entry>,
    /// Parts that could not be read, and were left out.
    pub damaged: usize,
}

/// At least `most` entries behind `after` that are no older than `until`, newest first, or all that there are. A part that is
/// gone or damaged is left out and logged: it takes no other along.
pub async fn after(
    bucket: &Bucket,
    scope: &Scope,
    after: Option<Place>,
    until: Millis,
    most: usize,
) -> Result<Looked, HistoryError> {
    let mut looked = Looked::default();
    let head = match head(bucket, scope).await {
        Ok((head, _)) => head,
        Err(problem @ HistoryError::Damaged { .. }) => {
            error!(
                error = chain(&problem),
                "the head of an index is damaged: what it lists is left out"
            );
            looked.damaged = 1;
            return Ok(looked);
        }
        Err(problem) => return Err(problem),
    };
    let behind = |part: &&Part| after.is_none_or(|after| part.oldest <= after.created) && part.newest >= until;
    for part in head.parts.iter().filter(behind) {
        // Some of this moment may be in the next part.
        let enough = looked.entries.len() >= most;
        if enough
            && looked
                .entries
                .last()
                .is_some_and(|last: &Entry| last.task.created > part.newest)
        {
            break;
        }
        let Some(entries) = readable(bucket, scope, part).await? else {
            looked.damaged += 1;
            continue;
        };
        let wanted = |it: &Entry| it.place().follows(after) && it.task.created >= until;
        looked.entries.extend(entries.into_iter().filter(wanted));
        looked.entries.sort_by_key(|entry| std::cmp::Reverse(entry.place()));
    }
    Ok(looked)
}

/// The entry of this task, among those that were submitted in this time.
pub async fn find(
    bucket: &Bucket,
    scope: &Scope,
    task: TaskId,
    created: RangeInclusive<Millis>,
) -> Result<Option<Entry>, HistoryError> {
    let (head, _) = head(bucket, scope).await?;
    let may_have = |part: &&Part| part.oldest <= *created.end() && part.newest >= *created.start();
    for part in head.parts.iter().filter(may_have) {
        let entries = readable(bucket, scope, part).await?.unwrap_or_default();
        if let Some(entry) = entries.into_iter().find(|entry| entry.task.task_id == task) {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

pub(super) async fn readable(bucket: &Bucket, scope: &Scope, which: &Part) -> Result<Option<Vec<Entry>>, HistoryError> {
    match part(bucket, scope, which).await {
        Ok(Some(entries)) => Ok(Some(entries)),
        Ok(None) => {
            error!(
                index = scope.folder(),
                part = which.name,
                "a part of an index is gone and is left out"
            );
            Ok(None)
        }
        Err(problem @ HistoryError::Damaged { .. }) => {
            error!(error = chain(&problem), "a part of an index is damaged and is left out");
            Ok(None)
        }
        Err(problem) => Err(problem),
    }
}
