//! Deleting a record: its own file, its line in the day's file, its entries in the lists.

use cloud::{Bucket, bucket::Expect};
use model::Task;

use crate::{
    HistoryError,
    index::{Scope, take_out},
    lines, packed,
    record::day_key,
    record_key,
};

/// Most attempts to write a file that others write too.
const ATTEMPTS: usize = 8;

/// Deletes what is kept of this task: its record wherever it lies, then its entries in lists, its owner's last, by which it is
/// found. Saying it again goes on where it broke off.
pub async fn forget(bucket: &Bucket, task: &Task) -> Result<(), HistoryError> {
    bucket.delete(&record_key(task)).await?;
    in_day(bucket, task, None).await?;
    let mut scopes: Vec<_> = Scope::of(task).collect();
    scopes.sort_by_key(|scope| matches!(scope, Scope::Owner(_)));
    for scope in scopes {
        take_out(bucket, &scope, task).await?;
    }
    Ok(())
}

/// The day's file with this line for what it has of this task, or with none. False if it has nothing of it.
pub(crate) async fn in_day(bucket: &Bucket, task: &Task, line: Option<&str>) -> Result<bool, HistoryError> {
    let key = day_key(&task.created.day(), task.team.as_str());
    let id = task.task_id.to_string();
    for _ in 0..ATTEMPTS {
        let Some(object) = bucket.read(&key).await? else {
            return Ok(false);
        };
        let all = lines(&key, &object.bytes)?;
        // A line that only looks as if it named the task is of another one.
        let is_of = |line: &String| {
            line.contains(&id)
                && serde_json::from_str::<serde_json::Value>(line).is_ok_and(|it| it["task_id"] == id.as_str())
        };
        let others: Vec<_> = all.iter().filter(|line| !is_of(line)).map(String::as_str).collect();
        if others.len() == all.len() {
            return Ok(false);
        }
        let file = packed(others.into_iter().chain(line));
        if bucket.put_if(&key, file, Expect::Etag(&object.etag)).await? {
            return Ok(true);
        }
    }
    Err(HistoryError::Busy(key))
}
