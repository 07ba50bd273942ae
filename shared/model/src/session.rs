use serde::{Deserialize, Serialize};

use crate::{ConnectionId, Millis, Role, TeamId, UserId};

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
    /// When DynamoDB may delete the item (seconds): a little over API Gateway's longest connection of two hours.
    pub ttl: u64,
}
