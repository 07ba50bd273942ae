//! The studio's own model files: uploaded in parts, looked at, and only then in the catalogue.
//!
//! A master lies under its team and the SHA-256 of its bytes, so the same bytes are stored once, and another team that
//! brings them learns nothing. What was never looked at is in no catalogue, whatever becomes of those who look.

mod audited;
mod change;
mod check;
mod sweep;
mod upload;

use cloud::{
    Bucket, Store, StoreError, bucket::BucketError, http::HttpError, multipart::Multipart, retry::MayConflict,
};
use model::{Account, CatalogEntry, Role, Settings, TeamId};
use serde::{Deserialize, Serialize};

pub use change::{Change, change, delete, is_seen, restore};
pub use check::{check, check_lora};
pub use sweep::sweep;
pub use upload::{Begun, Progress, Wish, begin, complete, end, part_count, part_size, progress, urls};

/// Where models are kept.
#[derive(Debug)]
pub struct Place<'a> {
    /// The tables.
    pub store: &'a Store,
    /// The bucket of models.
    pub models: &'a Bucket,
    /// The same, for files that come in parts.
    pub masters: &'a Multipart,
    /// Durations and limits.
    pub settings: &'a Settings,
}

/// Who may use a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Who brought it.
    Private,
    /// Their team.
    Team,
    /// Every team.
    Shared,
}

impl Access {
    /// That of an entry.
    pub fn of(entry: &CatalogEntry) -> Self {
        if entry.is_shared() {
            Self::Shared
        } else if entry.master.as_ref().is_some_and(|it| it.private) {
            Self::Private
        } else {
            Self::Team
        }
    }

    /// Whether this user may bring, change and take away such models: a painter their own, a lead the team's, an operator
    /// everybody's.
    pub fn is_granted_to(self, account: &Account) -> bool {
        match self {
            Self::Private => true,
            Self::Team => matches!(account.role, Role::Lead | Role::Operator),
            Self::Shared => account.role == Role::Operator,
        }
    }

    /// Whose catalogue it is in, for somebody of this team.
    fn team(self, own: &TeamId) -> TeamId {
        if self == Self::Shared {
            TeamId::new(CatalogEntry::SHARED)
        } else {
            own.clone()
        }
    }

    const fn refusal(self) -> ModelError {
        ModelError::NotAllowed(match self {
            Self::Private => "Only who brought this model may change it.",
            Self::Team => "Only a lead of the team may do this. A painter may bring models for themselves (`private`).",
            Self::Shared => "Only an operator may do this with models that every team uses.",
        })
    }
}

/// What was asked for was not done.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// It makes no sense, in words for whoever asked.
    #[error("{0}")]
    Invalid(String),
    /// There is no such upload (any more).
    #[error("There is no such upload. Begin it again.")]
    NoUpload,
    /// There is no such model for whoever asks.
    #[error("There is no such model.")]
    NoModel,
    /// Whoever asks may not.
    #[error("{0}")]
    NotAllowed(&'static str),
    /// It is not the time for that.
    #[error("{0}")]
    TooEarly(&'static str),
    /// The team has as much as it may have.
    #[error("The team's models would take {wanted} GB, and it may have {most} GB. Delete some, or ask for more.")]
    Full {
        /// With this one, GB.
        wanted: u64,
        /// GB.
        most: u64,
    },
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bucket of models.
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

impl MayConflict for ModelError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_conflict())
    }
}

impl From<ModelError> for HttpError {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Store(error) => error.into(),
            ModelError::Bucket(error) => error.into(),
            ModelError::Invalid(_) => Self::new(400, error.to_string()),
            ModelError::NotAllowed(_) => Self::new(403, error.to_string()),
            ModelError::NoUpload | ModelError::NoModel => Self::new(404, error.to_string()),
            ModelError::TooEarly(_) => Self::new(409, error.to_string()),
            ModelError::Full { .. } => Self::new(413, error.to_string()),
        }
    }
}
