//! Bytes to and from the bucket by presigned URLs. The URLs are secrets: they never get into an error or a log.

mod download;
mod error;
mod fetcher;
mod transfers;

pub(crate) use error::TransferError;
pub(crate) use fetcher::{Fetcher, Origin};
pub(crate) use transfers::{Place, Transfers};
