//! Reading a body that must not be larger than it is allowed to be.

use bytes::{Bytes, BytesMut};
use reqwest::Response;

/// A body could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The connection broke or was too slow.
    #[error("the transfer broke off")]
    Broken(#[source] reqwest::Error),
    /// There is more than there may be.
    #[error("there are more than {limit} bytes")]
    TooLarge { limit: u64 },
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        Self::Broken(error.without_url())
    }
}

/// The whole body, never holding more than `limit` bytes of it.
pub(crate) async fn read(mut reply: Response, limit: u64) -> Result<Bytes, FetchError> {
    let announced = reply.content_length().unwrap_or_default();
    if announced > limit {
        return Err(FetchError::TooLarge { limit });
    }
    let mut body = BytesMut::with_capacity(announced as usize);
    while let Some(chunk) = reply.chunk().await? {
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(FetchError::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
