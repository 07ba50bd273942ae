//! What can go wrong between the worker and ComfyUI.

use model::Failure;
use reqwest::StatusCode;

use crate::fetch::FetchError;

/// ComfyUI did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ComfyError {
    /// It did not answer in time; it does so while it loads a model.
    #[error("ComfyUI does not answer in time")]
    Slow(#[source] reqwest::Error),
    /// The connection was refused or broke: most likely its process is gone.
    #[error("ComfyUI cannot be reached")]
    Gone(#[source] reqwest::Error),
    /// It answered something that cannot be read.
    #[error("ComfyUI's answer cannot be read: {0:?} error")]
    Garbled(serde_json::error::Category),
    /// It answered with an error.
    #[error("ComfyUI answers {what} with status {status}")]
    Status { what: &'static str, status: StatusCode },
    /// It does not want the graph.
    #[error("ComfyUI does not take the graph: {}", .0.message)]
    Rejected(Failure),
    /// A file could not be read.
    #[error("a file could not be read from ComfyUI")]
    Read(#[from] FetchError),
}

impl From<reqwest::Error> for ComfyError {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        match () {
            () if error.is_timeout() => Self::Slow(error),
            () => Self::Gone(error),
        }
    }
}
