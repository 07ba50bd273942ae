//! Brings files of the studio's store onto this machine's disk: from the folder that the machines share, else from the bucket.

use std::{path::Path, sync::Arc, time::Duration};

use model::worker_api::{ModelFile, Source};
use tokio::{sync::watch, time::sleep};

use super::{
    download::download,
    error::TransferError,
    transfers::{Place, TRIES, Transfers},
};
use crate::{
    backoff::Backoff,
    config::Timing,
    error::chain,
    files::{FileCache, FileError, Part, SharedFolder, Taken},
};

/// Between two looks at a file that somebody else fetches.
const LOOK: Duration = Duration::from_millis(100);

/// Fetches files, each once.
#[derive(Debug)]
pub(crate) struct Fetcher {
    http: reqwest::Client,
    pub(crate) cache: Arc<FileCache>,
    shared: Option<SharedFolder>,
    pub(crate) timing: Timing,
    /// How many fetch what cannot wait.
    urgent: watch::Sender<u32>,
}

/// Where a file's address comes from.
#[derive(Debug)]
pub(crate) enum Origin<'a> {
    /// A run, which is given fresh ones.
    Run(&'a Transfers<'a>, Place),
    /// An offer. There will be another.
    Offer(&'a str),
}

impl Fetcher {
    pub(crate) fn new(
        http: reqwest::Client,
        cache: Arc<FileCache>,
        shared: Option<SharedFolder>,
        timing: Timing,
    ) -> Self {
        Self {
            http,
            cache,
            shared,
            timing,
            urgent: watch::Sender::new(0),
        }
    }

    /// Makes a file be there, and says where it came from; none if it was there, or somebody else has fetched it. `told` hears how
    /// many bytes have come. What has come is kept if this is dropped.
    pub(crate) async fn fetch(
        &self,
        file: &ModelFile,
        path: &Path,
        origin: &Origin<'_>,
        told: impl Fn(u64),
    ) -> Result<Option<Source>, TransferError> {
        let mut part = loop {
            match Part::take(file, path).await? {
                Taken::There => return Ok(None),
                Taken::Busy => sleep(LOOK).await,
                Taken::Part(part) => break part,
            }
        };
        let fetched = self.fill(file, path, &mut part, origin, told).await;
        if matches!(fetched, Err(TransferError::File(FileError::Full))) {
            part.discard();
        }
        if matches!(fetched, Err(TransferError::File(FileError::Checksum))) {
            self.cache.damaged(file, Source::Bucket);
        }
        fetched.map(Some)
    }

    /// Lets what can wait do so until this is dropped.
    pub(crate) fn first(&self) -> First<'_> {
        self.urgent.send_modify(|urgent| *urgent += 1);
        First(&self.urgent)
    }

    /// How many there are that go before.
    pub(crate) fn urgent(&self) -> watch::Receiver<u32> {
        self.urgent.subscribe()
    }

    async fn fill(
        &self,
        file: &ModelFile,
        path: &Path,
        part: &mut Part,
        origin: &Origin<'_>,
        told: impl Fn(u64),
    ) -> Result<Source, TransferError> {
        if let Some(shared) = &self.shared
            && shared.copy(file, part, &told).await?
        {
            return Ok(Source::Shared);
        }
        loop {
            match origin {
                Origin::Run(transfers, place) => transfers.file(*place, file, part, &told).await?,
                Origin::Offer(url) => self.offered(url, file, part).await?,
            }
            match part.finish().await {
                // What an earlier fetch has left may be what was wrong.
                Err(FileError::Checksum) if part.was_found() => {}
                finished => break finished?,
            }
        }
        if let Some(shared) = &self.shared {
            shared.keep(file, path);
        }
        Ok(Source::Bucket)
    }

    async fn offered(&self, url: &str, file: &ModelFile, part: &mut Part) -> Result<(), TransferError> {
        let mut backoff = Backoff::new(self.timing.retry);
        loop {
            let had = part.size;
            match download(&self.http, url, file, part, |_| ()).await {
                Err(error) if error.is_retryable() && backoff.tries() < TRIES => {
                    tracing::warn!(file = file.file, error = chain(&error), "transfer failed; trying again");
                    if part.size > had {
                        backoff.reset();
                    }
                    backoff.wait().await;
                }
                done => return done,
            }
        }
    }
}

/// Somebody fetches what cannot wait.
#[derive(Debug)]
#[must_use]
pub(crate) struct First<'a>(&'a watch::Sender<u32>);

impl Drop for First<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|urgent| *urgent -= 1);
    }
}
