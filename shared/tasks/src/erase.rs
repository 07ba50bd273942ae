//! Deleting a task: all that was stored of it, its item last, since that names the rest.

use cloud::{
    Bucket, Cloud, StoreError, Write,
    bucket::{BucketError, LISTED},
    http::HttpError,
    on_conflict,
    retry::MayConflict,
    tables::BodyOf,
};
use model::{Keep, Task, TaskId, UserId};
use tracing::info;

use crate::recording;

/// What deleting a task does not reach, and for how long that is there.
pub const LEFT: &str = "Backups of the tables hold when it was painted, how that ended and, of a variant, what was special about it, \
     without pictures, for 35 days more. Logs name the task, without what it showed, for as long as the studio keeps logs. \
     What it cost stays in the month's sum.";

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
        }
    }
}

/// Deletes a task of this user that is over: pictures, thumbnails, kept copies, plan, inputs, its large part, its step of a
/// document's history, and itself.
/// Where it breaks off, saying it again goes on.
pub async fn erase(cloud: &Cloud, task_id: TaskId, owner: &UserId) -> Result<(), EraseError> {
    let task = cloud.store.get(&task_id).await?.filter(|task| task.owner == *owner);
    let task = task.ok_or(EraseError::NoTask)?;
    if !task.state.is_terminal() {
        return Err(EraseError::NotOver);
    }
    objects(cloud, task_id).await?;
    body(cloud, task_id).await?;
    variant(cloud, &task).await?;
    recording::forget(&cloud.store, &task).await?;
    last(cloud, &task).await?;
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

/// What its group says of it: a label may be a prompt.
async fn variant(cloud: &Cloud, task: &Task) -> Result<(), EraseError> {
    let Some(variant) = &task.variant else { return Ok(()) };
    on_conflict!({
        let Some(mut group) = cloud.store.get(&variant.group).await? else {
            return Ok(());
        };
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

/// The task's own item.
async fn last(cloud: &Cloud, task: &Task) -> Result<(), EraseError> {
    on_conflict!({
        let Some(mut task) = cloud.store.get(&task.task_id).await? else {
            return Ok(());
        };
        cloud.store.commit([Write::delete(&mut task)]).await?;
        Ok::<_, EraseError>(())
    })
}
