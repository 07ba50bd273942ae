//! Tasks of a painter or a team, newest first, a page at a time: those of the table alone, and all.

mod all;
pub mod cursor;

use cloud::{
    Store, StoreError, chain,
    page::{Cursor, Page},
    tables::TasksOf,
};
use futures_util::future::join_all;
use model::{Task, TaskId, TaskState, UserId};

pub use all::{Choice, Found, ListError, Listed, SEARCHED, all};

/// Most tasks of a page: each is a read of its own, since the index of owners shows little, so that it costs little to
/// write.
pub const MOST: u32 = 50;

/// A page of what this user asked for, from behind the cursor on: at most `limit` tasks, perhaps fewer, and of this state
/// alone if one is named. What cannot be read is left out and logged. The index may not show the very last ones yet.
pub async fn page(
    store: &Store,
    owner: &UserId,
    state: Option<TaskState>,
    after: Option<&Cursor>,
    limit: u32,
) -> Result<Page<Task>, StoreError> {
    let listed = store.page(TasksOf(owner), after, limit).await?;
    // The index may be behind: a task that it shows unfinished may have ended, but not the other way round.
    let may_be = |it: TaskState| state.is_none_or(|wanted| it == wanted || !it.is_terminal());
    let ids = listed.entries.iter().filter(|it| may_be(it.state));
    let read = join_all(ids.map(|it| whole(store, it.task_id))).await;
    let tasks: Vec<_> = read.into_iter().collect::<Result<_, _>>()?;
    let tasks = tasks.into_iter().flatten();
    Ok(Page {
        entries: tasks
            .filter(|task| task.owner == *owner && state.is_none_or(|wanted| task.state == wanted))
            .collect(),
        next: listed.next,
    })
}

/// The task; none if it is gone or cannot be read, which takes no other along.
async fn whole(store: &Store, id: TaskId) -> Result<Option<Task>, StoreError> {
    match store.get(&id).await {
        Err(error @ StoreError::Shape { .. }) => {
            tracing::error!(task.id = %id, error = chain(&error), "a task of a list cannot be read and is left out");
            Ok(None)
        }
        other => other,
    }
}
