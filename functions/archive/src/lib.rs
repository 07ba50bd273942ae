//! The stream of tasks: writes the record of each that is over, and notes so on its item.
//!
//! A change only says which task to look at. Changes come late, doubled and out of order; one that cannot be handled is
//! reported by itself, and what the stream loses is offered again by the tick.

use std::collections::BTreeMap;

use cloud::{
    Cloud, chain,
    stream::{Change, StreamEvent, StreamFailure, StreamResponse},
};
use futures_util::{StreamExt, stream};
use model::{Millis, Settings, TaskId};
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

impl App {
    /// Writes a record for each task of the batch that is over and has none. What cannot be read as a change is logged and
    /// acknowledged, since it would never become a good one and holds up all behind it.
    pub async fn handle(&self, event: &StreamEvent, now: Millis) -> StreamResponse {
        let mut waiting: BTreeMap<TaskId, Vec<&str>> = BTreeMap::new();
        for change in event.records.iter().map(Change) {
            match change.key("task_id").and_then(|id| id.parse().ok()) {
                None => warn!(change.number = change.number(), "a malformed change is dropped"),
                Some(id) if change.may_have("unarchived") => waiting.entry(id).or_default().push(change.number()),
                Some(_) => {}
            }
        }
        let (changes, tasks) = (event.records.len(), waiting.len());
        let looks = waiting.into_iter().map(async |(id, numbers)| {
            let written = tasks::archive::write(&self.cloud, &self.settings, id, now).await;
            (id, numbers, written)
        });
        let (mut response, mut written) = (StreamResponse::default(), 0);
        let mut looks = stream::iter(looks).buffer_unordered(AT_ONCE);
        while let Some((id, numbers, done)) = looks.next().await {
            match done {
                Ok(done) => written += usize::from(done),
                Err(problem) => {
                    error!(task.id = %id, error = chain(&problem), "a record was not written; the change comes again");
                    let failed = numbers.into_iter().map(|number| StreamFailure {
                        number: number.to_owned(),
                    });
                    response.failures.extend(failed);
                }
            }
        }
        let failed = response.failures.len();
        info!(changes, tasks, records.written = written, changes.failed = failed, "archive");
        response
    }
}
