//! Deleting a task: all that was stored of it, its item last, since that names the rest.

use cloud::{
    Bucket, Cloud, StoreError, Write,
    bucket::{BucketError, LISTED},
    http::HttpError,
    on_conflict,
    retry::MayConflict,
    tables::BodyOf,
};
use history::{HistoryError, index::Scope};
use model::{Group, Keep, Task, TaskId, UserId};
use tracing::info;

use crate::{past, recording};

/// What deleting a task does not reach, and for how long that is there.
pub const LEFT: &str = "Backups of the tables hold when it was painted, how that ended and, of a variant, what was special about it, \
     without pictures, for 35 days more. Logs name the task, without what it showed, for as long as the studio keeps logs. \
     A mark that it was counted has its id for 30 days. What it cost stays in the month's sum.";

/// A task could not be deleted.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// There is no such task, or it is another user's.
    #[error("there is no such task")]
    NoTask,
    /// It is not over.
    #[error("the task is not over")]
    NotOver,
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The archive.
    #[error(transparent)]
    History(#[from] HistoryError),
}

impl MayConflict for EraseError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_conflict())
    }
}

impl From<EraseError> for HttpError {
    fn from(error: EraseError) -> Self {
        match error {
            EraseError::NoTask => Self::new(404, "There is no such task."),
            EraseError::NotOver => Self::new(
                409,
                "This picture is not finished yet. Cancel it first, then delete it.",
            ),
            EraseError::Store(error) => error.into(),
            EraseError::Bucket(error) => error.into(),
            EraseError::History(error) => error.into(),
        }
    }
}

/// Deletes a task of this user that is over, however long ago: pictures, thumbnails, kept copies, plan, inputs, its large part, its
/// step of a document's history, its record and entries in lists, and itself. Where it breaks off, saying it again goes on.
pub async fn erase(cloud: &Cloud, task_id: TaskId, owner: &UserId) -> Result<(), EraseError> {
    let task = match cloud.store.get(&task_id).await? {
        Some(task) => Some(task).filter(|task| task.owner == *owner),
        None => past::find(&cloud.bucket, &Scope::Owner(owner.clone()), task_id)
            .await?
            .map(|it| it.task),
    };
    let task = task.ok_or(EraseError::NoTask)?;
    if !task.state.is_terminal() {
        return Err(EraseError::NotOver);
    }
    objects(cloud, task_id).await?;
    body(cloud, task_id).await?;
    variant(cloud, &task).await?;
    recording::forget(&cloud.store, &task).await?;
    if !last(cloud, &task).await? {
        // Whoever was about to keep its pictures has no item to find out by that it is gone.
        objects(cloud, task_id).await?;
        history::forget(&cloud.bucket, &task).await?;
    }
    info!(task.id = %task_id, "deleted, with all that was stored of it");
    Ok(())
}

/// Every object of the task, those of runs that did not count included.
async fn objects(cloud: &Cloud, task_id: TaskId) -> Result<(), BucketError> {
    let kept = Keep::ALL.into_iter().filter(|how| *how != Keep::Nothing);
    let kept = kept.map(|how| format!("kept/{}/{task_id}/", how.word()));
    let others = ["results", "thumbs", "plans"].map(|place| format!("{place}/{task_id}/"));
    for prefix in kept.chain(others) {
        empty(&cloud.bucket, &prefix).await?;
    }
    Ok(())
}

async fn empty(bucket: &Bucket, prefix: &str) -> Result<(), BucketError> {
    loop {
        let keys = bucket.list(prefix, None).await?;
        for key in &keys {
            bucket.delete(key).await?;
        }
        if keys.len() < LISTED {
            return Ok(());
        }
    }
}

/// Its large part, and the pictures it was sent with.
async fn body(cloud: &Cloud, task_id: TaskId) -> Result<(), EraseError> {
    on_conflict!({
        let Some(mut body) = cloud.store.get(&BodyOf(task_id)).await? else {
            return Ok(());
        };
        if let Some(key) = body.inputs.as_ref().and_then(|inputs| inputs.key.as_ref()) {
            cloud.bucket.delete(key).await?;
        }
        cloud.store.commit([Write::delete(&mut body)]).await?;
        Ok::<_, EraseError>(())
    })
}

/// What its group says of it, since a label may be a prompt, and the contact sheet that shows it.
async fn variant(cloud: &Cloud, task: &Task) -> Result<(), EraseError> {
    let Some(variant) = &task.variant else { return Ok(()) };
    // Whatever the group says: it may be gone already, or the sheet be put this moment.
    let sheet = Group::sheet_key(variant.group);
    on_conflict!({
        let Some(mut group) = cloud.store.get(&variant.group).await? else {
            return Ok(cloud.bucket.delete(&sheet).await?);
        };
        cloud.bucket.delete(&sheet).await?;
        group.sheet = None;
        group.members.retain(|member| member.task_id != task.task_id);
        let write = if group.members.is_empty() {
            Write::delete(&mut group)
        } else {
            Write::put(&mut group)?
        };
        cloud.store.commit([write]).await?;
        Ok::<_, EraseError>(())
    })
}

/// The task's record, and its own item, if that is there: together, so that no record is written in between. Of one that is
/// gone the list names the record until nothing else is left. Whether it had an item.
async fn last(cloud: &Cloud, task: &Task) -> Result<bool, EraseError> {
    on_conflict!({
        let found = cloud.store.get(&task.task_id).await?;
        history::forget(&cloud.bucket, found.as_ref().unwrap_or(task)).await?;
        let Some(mut found) = found else { return Ok(false) };
        cloud.store.commit([Write::delete(&mut found)]).await?;
        Ok::<_, EraseError>(true)
    })
}
