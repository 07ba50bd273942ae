//! What can go wrong between the worker and the bucket. No URL gets into an error: it is a secret.

use reqwest::StatusCode;
use tokio::time::error::Elapsed;

use crate::{control_plane::CloudError, fetch::FetchError, files::FileError, images::BadInput};

/// The bucket did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransferError {
    #[error("the bucket does not answer")]
    Transport(#[source] reqwest::Error),
    #[error("the bucket answers with status {0}")]
    Status(StatusCode),
    #[error("the bucket is silent")]
    Silent(#[from] Elapsed),
    #[error("the transfer failed")]
    Fetch(#[from] FetchError),
    #[error("no addresses for the bucket")]
    Urls(#[from] CloudError),
    #[error("the API gives no address to upload to")]
    NoUpload,
    #[error("{0}")]
    Bad(#[from] BadInput),
    #[error("{0}")]
    File(#[from] FileError),
}

impl From<reqwest::Error> for TransferError {
    fn from(error: reqwest::Error) -> Self {
        Self::Transport(error.without_url())
    }
}

impl TransferError {
    pub(super) fn is_retryable(&self) -> bool {
        match self {
            Self::Transport(_) | Self::Silent(_) | Self::Fetch(FetchError::Broken(_)) => true,
            Self::Status(status) => status.is_server_error() || matches!(status.as_u16(), 408 | 429),
            Self::Urls(error) => error.is_retryable(),
            Self::NoUpload | Self::Bad(_) | Self::File(_) | Self::Fetch(FetchError::TooLarge { .. }) => false,
        }
    }
}
