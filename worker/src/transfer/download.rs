//! A file of the studio's store out of the bucket, from where it broke off.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use model::worker_api::ModelFile;
use reqwest::{Response, StatusCode, header::RANGE};
use tokio::time::timeout;

use super::{error::TransferError, transfers::good};
use crate::files::{FileError, Part};

/// Between two chunks of a file.
const SILENCE: Duration = Duration::from_secs(30);
/// One connection to S3 does not fill a machine's line. AWS's advice for what several fetch beside each other, bytes.
const PIECE: u64 = 16 * 1024 * 1024;
/// So many pieces are fetched at once, and held in memory.
const AT_ONCE: usize = 8;

/// The rest of a file, as far as it comes. `told` hears how many bytes have come.
pub(super) async fn download(
    http: &reqwest::Client,
    url: &str,
    file: &ModelFile,
    part: &mut Part,
    told: impl Fn(u64),
) -> Result<(), TransferError> {
    if file.size - part.size > PIECE {
        in_pieces(http, url, file, part, &told).await?;
    }
    // What comes in pieces is whole by now, unless the bucket gives none.
    if !part.is_whole() {
        at_once(http, url, file, part, &told).await?;
    }
    Ok(())
}

async fn in_pieces(
    http: &reqwest::Client,
    url: &str,
    file: &ModelFile,
    part: &mut Part,
    told: impl Fn(u64),
) -> Result<(), TransferError> {
    let begins = (part.size..file.size).step_by(PIECE as usize);
    let mut pieces = stream::iter(begins)
        .map(|begin| piece(http, url, file, begin))
        .buffered(AT_ONCE);
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(Some(bytes)) => part.write(&bytes).await?,
            Ok(None) => return Ok(()),
            Err(error) => {
                if matches!(error, TransferError::File(FileError::Checksum)) {
                    part.restart().await?;
                }
                return Err(error);
            }
        }
        told(part.size);
    }
    Ok(())
}

/// The piece that begins there; none if the bucket gives no pieces.
async fn piece(
    http: &reqwest::Client,
    url: &str,
    file: &ModelFile,
    begin: u64,
) -> Result<Option<Bytes>, TransferError> {
    let size = PIECE.min(file.size - begin);
    let mut reply = ask(http, url, file, Some(format!("bytes={begin}-{}", begin + size - 1))).await?;
    if reply.status() == StatusCode::OK {
        return Ok(None);
    }
    let mut bytes = BytesMut::with_capacity(size as usize);
    while let Some(chunk) = timeout(SILENCE, reply.chunk()).await?? {
        if (bytes.len() + chunk.len()) as u64 > size {
            return Err(FileError::Checksum.into());
        }
        bytes.extend_from_slice(&chunk);
    }
    if bytes.len() as u64 == size {
        Ok(Some(bytes.freeze()))
    } else {
        Err(FileError::Checksum.into())
    }
}

async fn at_once(
    http: &reqwest::Client,
    url: &str,
    file: &ModelFile,
    part: &mut Part,
    told: impl Fn(u64),
) -> Result<(), TransferError> {
    let rest = (part.size > 0).then(|| format!("bytes={}-", part.size));
    let mut reply = match ask(http, url, file, rest).await {
        Err(error @ TransferError::File(FileError::Checksum)) => {
            part.restart().await?;
            return Err(error);
        }
        reply => reply?,
    };
    if reply.status() == StatusCode::OK && part.size > 0 {
        // It gives all of it.
        part.restart().await?;
    }
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

async fn ask(
    http: &reqwest::Client,
    url: &str,
    file: &ModelFile,
    range: Option<String>,
) -> Result<Response, TransferError> {
    let mut get = http.get(url);
    if let Some(range) = range {
        get = get.header(RANGE, range);
    }
    let reply = timeout(SILENCE, get.send()).await??;
    match reply.status() {
        StatusCode::NOT_FOUND => Err(FileError::Gone(file.name.clone()).into()),
        // There is less of it than there is to be.
        StatusCode::RANGE_NOT_SATISFIABLE => Err(FileError::Checksum.into()),
        _ => good(reply),
    }
}
