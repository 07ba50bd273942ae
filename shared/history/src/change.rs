//! Changing a record whose task the table has no more.

use cloud::Bucket;
use model::Task;

use crate::{
    HistoryError, Record, find_record,
    forget::{forget, in_day},
    index::{self, Scope},
    put,
};

/// Writes what has changed of a task into its record and its entries in lists. False if its owner's list has it no more: it was
/// deleted, and nothing of it stays.
pub async fn change(bucket: &Bucket, task: &Task) -> Result<bool, HistoryError> {
    // First where a task that is deleted is named last.
    let own = Scope::Owner(task.owner.clone());
    if !index::change(bucket, &own, task).await? {
        return Ok(false);
    }
    let parameters = match find_record(bucket, task).await {
        // What cannot be read stays as it is, for whoever can mend it; the lists have what matters.
        Err(HistoryError::Damaged { .. }) => return lists(bucket, task, own).await,
        found => found?.and_then(|record| record.parameters),
    };
    let record = Record::new(task.clone(), parameters);
    // A file of its own only where it has one: days of long ago are put together no more.
    if !in_day(bucket, task, Some(&record.line()?)).await? {
        put(bucket, &record).await?;
    }
    lists(bucket, task, own).await
}

/// The other lists. False if its owner's has it no more.
async fn lists(bucket: &Bucket, task: &Task, own: Scope) -> Result<bool, HistoryError> {
    for scope in Scope::of(task).filter(|scope| *scope != own) {
        index::change(bucket, &scope, task).await?;
    }
    let created = task.created..=task.created;
    let stays = index::find(bucket, &own, task.task_id, created).await?.is_some();
    if !stays {
        forget(bucket, task).await?;
    }
    Ok(stays)
}
