use cloud::{Store, StoreError};
use model::{Task, TaskId, UserId};
use uuid::Uuid;

/// That a request was not made before: what [`super::admit`] wants to see.
#[derive(Debug)]
pub struct Fresh {
    task_id: TaskId,
    named: bool,
}

impl Fresh {
    /// The task that it will be.
    pub const fn task_id(&self) -> TaskId {
        self.task_id
    }

    /// Whether another request may name the same task.
    pub(super) const fn is_named(&self) -> bool {
        self.named
    }
}

/// Whether a request was made before.
#[derive(Debug)]
pub enum Ticket {
    /// It was not.
    Fresh(Fresh),
    /// It was, and this is its task: nothing is to be compiled or put for it again.
    Earlier(Box<Task>),
}

/// The task that this user's request with this idempotency key is, whether it was made before or not; none without a key.
pub(super) fn named(user: &UserId, key: Option<&[u8]>) -> Option<TaskId> {
    let key = key.filter(|key| !key.is_empty())?;
    let name = [user.as_str().as_bytes(), b"/", key].concat();
    Some(TaskId::new(Uuid::new_v5(&Uuid::NAMESPACE_URL, &name)))
}

/// Looks whether this user has made the request with this idempotency key before; without one it is new.
pub async fn ticket(store: &Store, user: &UserId, key: Option<&[u8]>) -> Result<Ticket, StoreError> {
    let Some(task_id) = named(user, key) else {
        let task_id = TaskId::new(Uuid::now_v7());
        return Ok(Ticket::Fresh(Fresh { task_id, named: false }));
    };
    Ok(match store.get(&task_id).await?.filter(|task| task.owner == *user) {
        Some(task) => Ticket::Earlier(Box::new(task)),
        None => Ticket::Fresh(Fresh { task_id, named: true }),
    })
}
