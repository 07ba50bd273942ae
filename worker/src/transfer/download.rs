//! A file of the studio's store out of the bucket, from where it broke off.

use std::time::Duration;

use model::worker_api::ModelFile;
use reqwest::{StatusCode, header::RANGE};
use tokio::time::timeout;

use super::{error::TransferError, transfers::good};
use crate::files::{FileError, Part};

/// Between two pieces of a file.
const SILENCE: Duration = Duration::from_secs(30);

/// The rest of a file, as far as it comes. `told` hears how many bytes have come.
pub(super) async fn download(
    http: &reqwest::Client,
    url: &str,
    file: &ModelFile,
    part: &mut Part,
    told: impl Fn(u64),
) -> Result<(), TransferError> {
    if part.is_whole() {
        return Ok(());
    }
    let mut get = http.get(url);
    if part.size > 0 {
        get = get.header(RANGE, format!("bytes={}-", part.size));
    }
    let reply = timeout(SILENCE, get.send()).await??;
    match reply.status() {
        StatusCode::NOT_FOUND => return Err(FileError::Gone(file.name.clone()).into()),
        StatusCode::RANGE_NOT_SATISFIABLE => {
            part.restart().await?;
            return Err(FileError::Checksum.into());
        }
        // It gives all of it.
        StatusCode::OK if part.size > 0 => part.restart().await?,
        _ => {}
    }
    let mut reply = good(reply)?;
    while let Some(bytes) = timeout(SILENCE, reply.chunk()).await?? {
        part.write(&bytes).await?;
        told(part.size);
    }
    if part.is_whole() {
        return Ok(());
    }
    // The bucket has said that this was all.
    part.restart().await?;
    Err(FileError::Checksum.into())
}
