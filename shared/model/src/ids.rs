//! Typed ids, so that no bare string crosses a function boundary.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Millis;

/// A text is no id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no {kind}")]
pub struct IdError {
    kind: &'static str,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The id with this value. Ids made by us are UUIDv7, which sort by time.
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Uuid::try_parse(text).map(Self).map_err(|_| IdError { kind: stringify!($name) })
            }
        }
    };
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The id with this text.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The id's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            /// 1 to 128 letters, digits and `-_.:@=`: what may stand in a key, a path and a log.
            fn from_str(text: &str) -> Result<Self, IdError> {
                let fits = (1..=128).contains(&text.len())
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:@=".contains(&b));
                if fits { Ok(Self(text.to_owned())) } else { Err(IdError { kind: stringify!($name) }) }
            }
        }
    };
}

uuid_id!(
    /// One picture request of a painter.
    TaskId
);
uuid_id!(
    /// One attempt at a task: the fence of every write about it, and ComfyUI's `prompt_id`.
    RunId
);
uuid_id!(
    /// Variants of one request that were asked for together.
    GroupId
);
text_id!(
    /// A worker, named by us before its instance exists and tagged on it.
    WorkerId
);
text_id!(
    /// A painter or operator.
    UserId
);
text_id!(
    /// A team of painters: the unit of tenancy.
    TeamId
);
text_id!(
    /// A named set of instance offerings with limits.
    PoolId
);
text_id!(
    /// An open WebSocket, as API Gateway names it.
    ConnectionId
);
text_id!(
    /// An EC2 instance.
    InstanceId
);
text_id!(
    /// A painter's document, as their extension names it.
    DocumentId
);

impl TaskId {
    /// When it was made, if it says so: one that an idempotency key names does not.
    pub const fn made_at(self) -> Option<Millis> {
        match self.0.get_version_num() {
            7 => Some(Millis((self.0.as_u128() >> 80) as u64)),
            _ => None,
        }
    }

    /// The last of its bytes, as random as any.
    pub const fn last_byte(self) -> u8 {
        self.0.as_bytes()[15]
    }
}

impl UserId {
    /// The owner under which a worker's WebSocket sessions are kept.
    pub fn of_worker(worker: &WorkerId) -> Self {
        Self(format!("{}{worker}", Self::WORKER))
    }

    /// The worker, if this is a worker's owner name.
    pub fn as_worker(&self) -> Option<WorkerId> {
        self.0.strip_prefix(Self::WORKER).map(WorkerId::new)
    }

    const WORKER: &str = "worker:";
}
