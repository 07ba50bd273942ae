//! A task that is over, as it is kept for good.

use cloud::{Bucket, bucket::Expect};
use model::{Parameters, Task};
use serde::{Deserialize, Serialize};

use crate::{HistoryError, lines, packed};

/// Where records lie in the bucket.
pub const ARCHIVE: &str = "archive/";

/// A task that is over, with all that is known of it: the task's item and what it was asked with. What becomes columns of the
/// table that Athena reads is at the top.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The task.
    #[serde(flatten)]
    pub task: Task,
    /// How long the worker was held by the last run, milliseconds.
    #[serde(default)]
    pub gpu_ms: u64,
    /// What it was asked with; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
}

impl Record {
    /// The record of a task that is over.
    pub fn new(task: Task, parameters: Option<Parameters>) -> Self {
        let gpu_ms = u64::try_from(task.run_time().as_millis()).unwrap_or(u64::MAX);
        Self {
            // Of the item alone.
            task: Task {
                unarchived: None,
                offer_at: None,
                ttl: None,
                ..task
            },
            gpu_ms,
            parameters,
        }
    }

    /// As a line.
    pub fn line(&self) -> Result<String, HistoryError> {
        Ok(serde_json::to_string(self)?)
    }
}

/// The folder of a team's records of a day.
fn folder(day: &str, team: &str) -> String {
    format!("{ARCHIVE}day={day}/team={team}/")
}

/// Where the record of this task lies until it is put together with the others of its day.
pub fn record_key(task: &Task) -> String {
    let folder = folder(&task.created.day(), task.team.as_str());
    format!("{folder}{}.jsonl.gz", task.task_id)
}

/// Where a team's records of a day lie once they are put together.
pub(crate) fn day_key(day: &str, team: &str) -> String {
    format!("{}all.jsonl.gz", folder(day, team))
}

/// The record of this task, wherever it lies by now; none if there is none.
pub async fn find_record(bucket: &Bucket, task: &Task) -> Result<Option<Record>, HistoryError> {
    let day = day_key(&task.created.day(), task.team.as_str());
    for key in [record_key(task), day] {
        let Some(object) = bucket.read(&key).await? else {
            continue;
        };
        let id = task.task_id.to_string();
        let found = lines(&key, &object.bytes)?
            .into_iter()
            .filter(|line| line.contains(&id));
        let read = |line: String| serde_json::from_str::<Record>(&line).ok();
        if let Some(record) = found.filter_map(read).find(|it| it.task.task_id == task.task_id) {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// Puts the record. A second one of the same task replaces the first.
pub async fn put(bucket: &Bucket, record: &Record) -> Result<(), HistoryError> {
    let line = record.line()?;
    let file = packed([line.as_str()]);
    bucket.put_if(&record_key(&record.task), file, Expect::Anything).await?;
    Ok(())
}
