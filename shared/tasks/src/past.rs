//! Tasks that the table has no more, by their ids.

use std::time::Duration;

use cloud::Bucket;
use history::{
    HistoryError,
    index::{self, Entry, Scope},
};
use model::{Millis, TaskId};

/// How far the time in a task's id may be from that of its submit: clocks differ, and a request may have waited.
const ABOUT: Duration = Duration::from_hours(24);

/// The task's entry in this list; none if it has none.
pub async fn find(bucket: &Bucket, of: &Scope, id: TaskId) -> Result<Option<Entry>, HistoryError> {
    // One that an idempotency key names does not say when it was made.
    let about = |made: Millis| made - ABOUT..=made + ABOUT;
    let created = id.made_at().map_or(Millis(0)..=Millis(u64::MAX), about);
    index::find(bucket, of, id, created).await
}
