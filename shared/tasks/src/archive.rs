//! From a task that is over to its record in the bucket, and the end of its item in the table.

use cloud::{Cloud, Store, StoreError, Write, on_conflict, retry::MayConflict, tables::UnarchivedIn};
use history::{HistoryError, Record};
use model::{Millis, Settings, Task, TaskId};
use tracing::info;

use crate::{
    bodies, demand,
    keep::{self, KeepError},
};

/// A record was not written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bucket.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Its pictures could not be kept as its team's rule says.
    #[error(transparent)]
    Keep(#[from] KeepError),
}

impl ArchiveError {
    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::History(error) => error.is_retryable(),
            Self::Keep(error) => error.is_retryable(),
        }
    }
}

impl MayConflict for ArchiveError {
    fn is_conflict(&self) -> bool {
        match self {
            Self::Store(error) => error.is_conflict(),
            Self::Keep(error) => error.is_conflict(),
            Self::History(_) => false,
        }
    }
}

/// Writes the record of a task that is over, and only then notes so on its item, which the table may delete from some time on.
/// False if there is nothing to do: it is gone, not over, or has its record; or it cannot be read, and stays.
pub async fn write(cloud: &Cloud, settings: &Settings, id: TaskId, now: Millis) -> Result<bool, ArchiveError> {
    let mut put = None;
    let written = on_conflict!({
        let found = cloud.store.get_readable(&id).await?;
        let waits = |task: &Task| task.state.is_terminal() && task.archived_at.is_none();
        let Some(task) = found.filter(waits) else {
            return Ok(false);
        };
        // Once, however often this is tried.
        demand::count(&cloud.store, std::slice::from_ref(&task), now).await?;
        let task = keep::by_rule(cloud, &task, now).await?.unwrap_or(task);
        let parameters = bodies::parameters(&cloud.store, id).await?;
        let mut archived = task.archived(settings.task_life, now);
        // Whatever changed the task in between finds it without its note, and its record is written again.
        history::put(&cloud.bucket, &Record::new(archived.clone(), parameters)).await?;
        put = Some(task);
        cloud.store.commit([Write::put(&mut archived)?]).await?;
        Ok::<_, ArchiveError>(true)
    })?;
    if written {
        info!(task.id = %id, "its record was written");
    } else if let Some(task) = put
        && cloud.store.get(&id).await?.is_none()
    {
        // It was deleted meanwhile, and so must be what was made of it.
        history::forget(&cloud.bucket, &task).await?;
    }
    Ok(written)
}

/// Most tasks of a part of the index that are offered at once.
const OFFERED: u32 = 25;

/// Offers tasks again that are over for long and have no record, whatever the table's stream has lost: how many. The write of
/// each shows in the stream.
pub async fn offer(store: &Store, now: Millis) -> Result<usize, StoreError> {
    let mut offered = 0;
    for part in Task::PARTS {
        for waits in store.list(UnarchivedIn(part, OFFERED)).await? {
            if waits.offer_at > now {
                break;
            }
            let task = store.get_readable(&waits.task_id).await?;
            let Some(mut again) = task.and_then(|task| task.offered(now)) else {
                continue;
            };
            match store.commit([Write::put(&mut again)?]).await {
                Ok(()) => offered += 1,
                // Somebody else wrote it, which the stream shows as well.
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(offered)
}
