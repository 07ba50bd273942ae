//! Brings files of the studio's store onto this machine's disk.

use std::{path::Path, sync::Arc, time::Duration};

use model::worker_api::ModelFile;
use tokio::time::sleep;

use super::{
    error::TransferError,
    transfers::{Place, Transfers},
};
use crate::files::{FileCache, FileError, Part, Taken};

/// Between two looks at a file that somebody else fetches.
const LOOK: Duration = Duration::from_millis(100);

/// Fetches files, each once.
#[derive(Debug)]
pub(crate) struct Fetcher {
    pub(crate) cache: Arc<FileCache>,
}

impl Fetcher {
    /// Makes a file be there. `told` hears how many bytes have come.
    pub(crate) async fn fetch(
        &self,
        file: &ModelFile,
        path: &Path,
        from: (&Transfers<'_>, Place),
        told: impl Fn(u64),
    ) -> Result<(), TransferError> {
        let mut part = loop {
            match Part::take(file, path).await? {
                Taken::There => return Ok(()),
                Taken::Busy => sleep(LOOK).await,
                Taken::Part(part) => break part,
            }
        };
        let fetched = self.fill(file, &mut part, from, told).await;
        if matches!(fetched, Err(TransferError::File(FileError::Full))) {
            part.discard();
        }
        fetched
    }

    async fn fill(
        &self,
        file: &ModelFile,
        part: &mut Part,
        (transfers, place): (&Transfers<'_>, Place),
        told: impl Fn(u64),
    ) -> Result<(), TransferError> {
        loop {
            transfers.file(place, file, part, &told).await?;
            match part.finish().await {
                // What an earlier fetch has left may be what was wrong.
                Err(FileError::Checksum) if part.was_found() => {}
                finished => return Ok(finished?),
            }
        }
    }
}
