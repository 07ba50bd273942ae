use cloud::{bucket::BucketError, http::HttpError};

/// History could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// An object is not what was written there.
    #[error("the object {key} is damaged")]
    Damaged {
        /// Its key.
        key: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others write the same index, again and again.
    #[error("{0} is being written by others")]
    Busy(String),
    /// Something could not be written as JSON.
    #[error("a record cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

impl HistoryError {
    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Bucket(error) => error.is_retryable(),
            Self::Busy(_) => true,
            Self::Damaged { .. } | Self::Json(_) => false,
        }
    }
}

impl From<HistoryError> for HttpError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Bucket(error) => error.into(),
            error => Self::broken(error),
        }
    }
}
