use serde::{Deserialize, Serialize};

use crate::{Millis, PoolId, TeamId, UserId};

/// What the bearer of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Asks for pictures.
    Painter,
    /// Renders them.
    Worker,
    /// Runs the studio's installation.
    Operator,
}

/// A painter or operator: `user#<id>` in Accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Who it is.
    pub user_id: UserId,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// Name shown to people.
    pub name: String,
    /// The account's team.
    pub team: TeamId,
    /// The pool that renders for the team.
    pub pool: PoolId,
    /// What the account may do.
    pub role: Role,
    /// Tokens issued earlier than this are refused.
    #[serde(default)]
    pub tokens_valid_from: Millis,
    /// Credits shown to the painter. Not yet spent: the budget comes with its own issue.
    #[serde(default)]
    pub credits: u64,
}

impl Account {
    /// A new painter. A token of an account that had this name before is not good for it.
    pub fn new(user_id: UserId, team: TeamId, pool: PoolId, now: Millis) -> Self {
        Self {
            name: user_id.to_string(),
            user_id,
            version: 0,
            team,
            pool,
            role: Role::Painter,
            tokens_valid_from: Millis(now.seconds() * 1000),
            credits: 0,
        }
    }

    /// Ends every token, sign-in and invitation made up to now. Tokens know whole seconds, so those of this second end
    /// too.
    pub const fn revoke(&mut self, now: Millis) {
        self.tokens_valid_from = Millis((now.seconds() + 1) * 1000);
    }

    /// Whether what was made then was made before everything was revoked.
    pub const fn is_revoked(&self, made: Millis) -> bool {
        made.0 < self.tokens_valid_from.0
    }
}

/// What an account used in one month: `usage#<user>#<yyyy-mm>` in Accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Whose usage.
    pub user_id: UserId,
    /// `yyyy-mm`, UTC.
    pub month: String,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// Pictures delivered.
    pub images: u64,
    /// Worker time of the runs that delivered them, in milliseconds.
    pub gpu_ms: u64,
}
