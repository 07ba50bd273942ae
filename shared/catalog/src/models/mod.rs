//! The studio's own model files: uploaded in parts, looked at, and only then in the catalogue.
//!
//! A master lies under its team and the SHA-256 of its bytes, so the same bytes are stored once, and another team that
//! brings them learns nothing. What was never looked at is in no catalogue, whatever becomes of those who look.

mod check;
mod upload;

use cloud::{StoreError, bucket::BucketError, http::HttpError, retry::MayConflict};

pub use check::check;
pub use upload::{Begun, Progress, Wish, begin, complete, end, part_count, part_size, progress, urls};

/// Something was wrong with an upload.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// What was asked for makes no sense, in words for whoever asked.
    #[error("{0}")]
    Invalid(String),
    /// There is no such upload (any more).
    #[error("There is no such upload. Begin it again.")]
    Unknown,
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
            ModelError::Unknown => Self::new(404, error.to_string()),
            ModelError::TooEarly(_) => Self::new(409, error.to_string()),
            ModelError::Full { .. } => Self::new(413, error.to_string()),
        }
    }
}
