//! Variants of one request that were asked for together.

use serde::{Deserialize, Serialize};

use crate::{GroupId, Millis, TaskId, TeamId, UserId};

/// Which variant of which group a task is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// The group.
    pub group: GroupId,
    /// What is special about it, for people.
    pub label: String,
}

/// A group: written once, in the transaction that lets its tasks in. How it stands is what its tasks say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// UUIDv7.
    pub group_id: GroupId,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// Who asked.
    pub owner: UserId,
    /// The owner's team at that time.
    pub team: TeamId,
    /// When it was submitted.
    pub created: Millis,
    /// Its tasks, in the order in which they were asked for.
    pub members: Vec<Member>,
    /// Where its contact sheet lies, once all of it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// When DynamoDB may delete the item, seconds.
    pub ttl: u64,
}

impl Group {
    /// Where a group's contact sheet lies.
    pub fn sheet_key(group: GroupId) -> String {
        format!("sheets/{group}.webp")
    }
}

/// A task of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The task.
    pub task_id: TaskId,
    /// [`Variant::label`], which outlives the task.
    pub label: String,
}
