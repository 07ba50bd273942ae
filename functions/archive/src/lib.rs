//! The stream of tasks: writes the record of each that is over, and notes so on its item. Once a day: puts the records of days
//! that have passed together, and lists them.
//!
//! A change only says which task to look at. Changes come late, doubled and out of order; one that cannot be handled is
//! reported by itself, and what the stream loses is offered again by the tick.

mod sheet;

use std::collections::{BTreeMap, BTreeSet};

use cloud::{
    Cloud, chain,
    stream::{Change, StreamEvent, StreamFailure, StreamResponse},
};
use futures_util::{StreamExt, stream};
use model::{Millis, Settings, TaskId};
use serde_json::Value;
use tracing::{error, info, warn};

/// Most records written at once.
const AT_ONCE: usize = 8;

/// What the handler needs.
#[derive(Debug)]
pub struct App {
    /// AWS.
    pub cloud: Cloud,
    /// Durations and limits.
    pub settings: Settings,
}

/// Something could not be put together; the next day makes it good.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The event is none of the stream.
    #[error("the event cannot be read")]
    Event(#[from] serde_json::Error),
    /// Days of teams, of which the others were done.
    #[error("the records of {0} days could not be put together")]
    Days(usize),
}

impl App {
    /// Handles a batch of the stream, or the day's call.
    pub async fn handle(&self, event: Value, now: Millis) -> Result<StreamResponse, ArchiveError> {
        if event.get("Records").is_some() {
            return Ok(self.changes(&serde_json::from_value(event)?, now).await);
        }
        let done = history::compact(&self.cloud.bucket, now).await;
        info!(
            records = done.records,
            records.damaged = done.damaged,
            days.failed = done.failed,
            "put together"
        );
        if done.failed == 0 {
            Ok(StreamResponse::default())
        } else {
            Err(ArchiveError::Days(done.failed))
        }
    }

    /// Writes a record for each task of the batch that is over and has none. What cannot be read as a change is logged and
    /// acknowledged, since it would never become a good one and holds up all behind it.
    async fn changes(&self, event: &StreamEvent, now: Millis) -> StreamResponse {
        let mut waiting: BTreeMap<TaskId, Vec<&str>> = BTreeMap::new();
        let mut variants = BTreeSet::new();
        for change in event.records.iter().map(Change) {
            match change.key("task_id").and_then(|id| id.parse().ok()) {
                None => warn!(change.number = change.number(), "a malformed change is dropped"),
                Some(id) if change.may_have("unarchived") => {
                    waiting.entry(id).or_default().push(change.number());
                    if change.may_have("variant") {
                        variants.insert(id);
                    }
                }
                Some(_) => {}
            }
        }
        let (changes, tasks) = (event.records.len(), waiting.len());
        let looks = waiting.into_iter().map(async |(id, numbers)| {
            let done = self.change(id, variants.contains(&id), now).await;
            (id, numbers, done)
        });
        let (mut response, mut written) = (StreamResponse::default(), 0);
        let mut looks = stream::iter(looks).buffer_unordered(AT_ONCE);
        while let Some((id, numbers, done)) = looks.next().await {
            match done {
                Ok(done) => written += usize::from(done),
                Err(problem) => {
                    error!(task.id = %id, error = chain(&problem), "a record or a sheet was not written; the change comes again");
                    let failed = numbers.into_iter().map(|number| StreamFailure {
                        number: number.to_owned(),
                    });
                    response.failures.extend(failed);
                }
            }
        }
        let failed = response.failures.len();
        info!(
            changes,
            tasks,
            records.written = written,
            changes.failed = failed,
            "archive"
        );
        response
    }

    /// Writes the record of a task that is over, and the contact sheet if it was the last of a group.
    async fn change(&self, id: TaskId, is_variant: bool, now: Millis) -> Result<bool, ChangeError> {
        let written = tasks::archive::write(&self.cloud, &self.settings, id, now).await?;
        if is_variant {
            sheet::make(&self.cloud, id).await?;
        }
        Ok(written)
    }
}

/// What a change asks for could not be done.
#[derive(Debug, thiserror::Error)]
enum ChangeError {
    /// The record.
    #[error(transparent)]
    Record(#[from] tasks::archive::ArchiveError),
    /// The contact sheet.
    #[error(transparent)]
    Sheet(#[from] sheet::SheetError),
}
