//! Pictures that stay: copied, within the bucket, to where no rule or a later one ends them.

use cloud::{
    Bucket, Cloud, StoreError, Write, bucket::BucketError, chain, http::HttpError, on_conflict, retry::MayConflict,
    tables::KeepRuleOf,
};
use history::{HistoryError, index::Scope};
use model::{Keep, Kept, Millis, Task, TaskId, TaskResult, UserId};
use tracing::{info, warn};

use crate::past;

/// Pictures could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// There is no such task, or it is another user's.
    #[error("there is no such task")]
    NoTask,
    /// It has no pictures.
    #[error("the task has no pictures")]
    NoPictures,
    /// Its pictures are no more.
    #[error("the pictures are no longer there")]
    Gone,
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

impl KeepError {
    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::NoTask | Self::NoPictures | Self::Gone => false,
            Self::Store(error) => error.is_retryable(),
            Self::Bucket(error) => error.is_retryable(),
            Self::History(error) => error.is_retryable(),
        }
    }
}

impl MayConflict for KeepError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_conflict())
    }
}

impl From<KeepError> for HttpError {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::NoTask => Self::new(404, "There is no such task."),
            KeepError::NoPictures => Self::new(409, "Only the pictures of a task that succeeded can be kept."),
            KeepError::Gone => {
                let days = TaskResult::LIFE.as_secs() / (24 * 60 * 60);
                let words = "The pictures are no longer there: what nobody keeps is deleted after";
                Self::new(410, format!("{words} {days} days."))
            }
            KeepError::Store(error) => error.into(),
            KeepError::Bucket(error) => error.into(),
            KeepError::History(error) => error.into(),
        }
    }
}

/// Keeps the pictures of this user's task so long, or no longer; gives the task as it is then. Saying it again changes
/// nothing. With [`Keep::Nothing`] what was kept is deleted at once; what every result has of its days is left.
pub async fn keep(cloud: &Cloud, task_id: TaskId, owner: &UserId, how: Keep, now: Millis) -> Result<Task, KeepError> {
    if cloud.store.get(&task_id).await?.is_none() {
        return in_archive(cloud, task_id, owner, how, now).await;
    }
    decide(cloud, task_id, owner, how, now, |kept| {
        kept.is_none_or(|kept| kept.how != how)
    })
    .await
}

/// The same of a task that only the archive has: its pictures may be there for as long as a rule, or its painter, has said.
async fn in_archive(cloud: &Cloud, task_id: TaskId, owner: &UserId, how: Keep, now: Millis) -> Result<Task, KeepError> {
    let found = past::find(&cloud.bucket, &Scope::Owner(owner.clone()), task_id).await?;
    let mut task = found.ok_or(KeepError::NoTask)?.task;
    let result = task.result.as_mut().ok_or(KeepError::NoPictures)?;
    if result.kept.is_some_and(|kept| kept.how == how) {
        return Ok(task);
    }
    let to = result.kept_key(how);
    match &to {
        Some(to) => copy(&cloud.bucket, result, to).await?,
        None => forget(&cloud.bucket, result, None).await?,
    }
    result.kept = Some(Kept { how, at: now });
    if !history::change(&cloud.bucket, &task).await? {
        // It was deleted meanwhile, and so must be what was made of it.
        if let Some(to) = to {
            cloud.bucket.delete(&to).await?;
        }
        return Err(KeepError::NoTask);
    }
    info!(task.id = %task_id, keep = how.word(), "its pictures are kept so, and only the archive knows of them");
    if to.is_some()
        && let Some(result) = &task.result
    {
        only(&cloud.bucket, task_id, result, how).await;
    }
    Ok(task)
}

/// Keeps the pictures of a task as its team's rule says, unless its painter has decided; gives the task if that changed it. What
/// is no more is not kept.
pub async fn by_rule(cloud: &Cloud, task: &Task, now: Millis) -> Result<Option<Task>, KeepError> {
    if task.result.as_ref().is_none_or(|result| result.kept.is_some()) {
        return Ok(None);
    }
    let rule = cloud.store.get_readable(&KeepRuleOf(task.team.clone())).await?;
    let how = rule.map(|rule| rule.keep).filter(|how| *how != Keep::Nothing);
    let Some(how) = how else { return Ok(None) };
    match decide(cloud, task.task_id, &task.owner, how, now, |kept| kept.is_none()).await {
        Ok(task) => Ok(Some(task)),
        Err(KeepError::NoTask | KeepError::NoPictures) => Ok(None),
        Err(KeepError::Gone) => {
            warn!(task.id = %task.task_id, "its pictures were no longer there to be kept");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The same, where what was decided so far leaves it open.
async fn decide(
    cloud: &Cloud,
    task_id: TaskId,
    owner: &UserId,
    how: Keep,
    now: Millis,
    is_open: impl Fn(Option<Kept>) -> bool,
) -> Result<Task, KeepError> {
    let mut copied = None;
    let kept = on_conflict!({
        let task = cloud.store.get(&task_id).await?.filter(|task| task.owner == *owner);
        let mut task = task.ok_or(KeepError::NoTask)?;
        let result = task.result.as_mut().ok_or(KeepError::NoPictures)?;
        if !is_open(result.kept) {
            return Ok(task);
        }
        match result.kept_key(how) {
            Some(to) => {
                copy(&cloud.bucket, result, &to).await?;
                copied = Some(to);
            }
            // Before it is written down: nobody would know of what is left over.
            None => forget(&cloud.bucket, result, None).await?,
        }
        result.kept = Some(Kept { how, at: now });
        // Its record is written again.
        task.reopen(now);
        cloud.store.commit([Write::put(&mut task)?]).await?;
        Ok::<_, KeepError>(task)
    });
    match (&kept, copied) {
        (Ok(task), Some(_)) => {
            info!(task.id = %task_id, keep = how.word(), "its pictures are kept");
            if let Some(result) = &task.result {
                only(&cloud.bucket, task_id, result, how).await;
            }
        }
        // It was deleted meanwhile, and so must be what was made of it.
        (Err(KeepError::NoTask), Some(to)) => cloud.bucket.delete(&to).await?,
        _ => {}
    }
    kept
}

/// Copies the pictures from where they lie.
async fn copy(bucket: &Bucket, result: &TaskResult, to: &str) -> Result<(), KeepError> {
    for from in [result.place(), result.key.clone()] {
        if bucket.copy(&from, to).await? {
            return Ok(());
        }
    }
    Err(KeepError::Gone)
}

/// Deletes what was kept otherwise before.
async fn only(bucket: &Bucket, task_id: TaskId, result: &TaskResult, how: Keep) {
    if let Err(error) = forget(bucket, result, Some(how)).await {
        // The bucket ends it by itself, but for what was kept for ever.
        warn!(task.id = %task_id, error = chain(&error), "another copy of its pictures may be left");
    }
}

/// Deletes every kept copy but one.
async fn forget(bucket: &Bucket, result: &TaskResult, but: Option<Keep>) -> Result<(), BucketError> {
    for how in Keep::ALL.into_iter().filter(|how| Some(*how) != but) {
        if let Some(key) = result.kept_key(how) {
            bucket.delete(&key).await?;
        }
    }
    Ok(())
}
