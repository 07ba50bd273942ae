//! Keeping a call open until a task is where its caller wants it.

use std::time::Duration;

use cloud::Store;
use model::{Task, TaskId};
use tokio::time::{Instant, sleep};

/// Between two looks: the error of what is seen, paid with a read each.
const LOOK: Duration = Duration::from_millis(50);

/// The task as soon as it is `wanted`; none if that takes longer than `time` or cannot be seen.
pub async fn until(store: &Store, task_id: TaskId, time: Duration, wanted: impl Fn(&Task) -> bool) -> Option<Task> {
    let end = Instant::now() + time;
    while Instant::now() + LOOK <= end {
        sleep(LOOK).await;
        // A look that fails ends the wait and not the call: the next poll looks again.
        let task = store.get(&task_id).await.ok().flatten()?;
        if wanted(&task) {
            return Some(task);
        }
    }
    None
}
