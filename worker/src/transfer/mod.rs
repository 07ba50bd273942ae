//! Bytes to and from the bucket by presigned URLs. The URLs are secrets: they never get into an error or a log.

mod error;
mod transfers;

pub(crate) use error::TransferError;
pub(crate) use transfers::Transfers;
