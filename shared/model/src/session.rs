use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{ConnectionId, Millis, Role, TaskId, TeamId, UserId};

/// An open WebSocket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// API Gateway's name for the connection.
    pub connection_id: ConnectionId,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// Painter, or `worker:<id>`.
    pub owner: UserId,
    /// The owner's team.
    pub team: TeamId,
    /// What the owner may do.
    pub role: Role,
    /// The owner's device that it was opened with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// When it was opened.
    pub opened_at: Millis,
    /// The picture that its painter watches grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look: Option<Look>,
    /// When DynamoDB may delete the item (seconds): a little over API Gateway's longest connection of two hours.
    pub ttl: u64,
}

/// Somebody watches a picture grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Which one.
    pub task_id: TaskId,
    /// Until when.
    pub until: Millis,
}

impl Look {
    /// How long a look lasts that is not said again.
    pub const LIFE: Duration = Duration::from_secs(30);
}

impl Session {
    /// Notes that its painter looks at a task. False if that is noted well enough, so that looks said often are not written
    /// often.
    pub fn look_at(&mut self, task_id: TaskId, now: Millis) -> bool {
        if self.looks_at(task_id, now + Look::LIFE / 2) {
            return false;
        }
        let until = now + Look::LIFE;
        self.look = Some(Look { task_id, until });
        true
    }

    /// Whether its painter looks at a task.
    pub fn looks_at(&self, task_id: TaskId, now: Millis) -> bool {
        self.look
            .is_some_and(|look| look.task_id == task_id && now < look.until)
    }
}
