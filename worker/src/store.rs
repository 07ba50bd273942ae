//! Bytes to and from the bucket by presigned URLs. The URLs are secrets: they never get into an error or a log.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use model::{
    RunId, TaskId,
    worker_api::{Assignment, InputBlob, LoraFile, RunUrls},
};
use reqwest::{
    Response, StatusCode,
    header::{CONTENT_TYPE, ETAG},
};
use tokio::{
    sync::Mutex,
    time::{error::Elapsed, timeout},
};

use crate::{
    backoff::Backoff,
    cloud_api::{CloudApi, CloudError},
    config::Timing,
    error::chain,
    fetch::{self, FetchError},
    inputs::{self, BadInput},
    loras::{BadLora, LoraError, Part},
};

/// The bucket did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the bucket does not answer")]
    Transport(#[source] reqwest::Error),
    #[error("the bucket answers with status {0}")]
    Status(StatusCode),
    #[error("the bucket is silent")]
    Silent(#[from] Elapsed),
    #[error("the transfer failed")]
    Fetch(#[from] FetchError),
    #[error("no fresh addresses for the bucket")]
    Urls(#[from] CloudError),
    #[error("{0}")]
    Bad(#[from] BadInput),
    #[error("{0}")]
    Lora(#[from] LoraError),
}

impl From<reqwest::Error> for StoreError {
    fn from(error: reqwest::Error) -> Self {
        Self::Transport(error.without_url())
    }
}

impl StoreError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Transport(_) | Self::Silent(_) | Self::Fetch(FetchError::Broken(_)) => true,
            Self::Status(status) => status.is_server_error() || matches!(status.as_u16(), 408 | 429),
            Self::Urls(error) => error.is_retryable(),
            Self::Bad(_) | Self::Lora(_) | Self::Fetch(FetchError::TooLarge { .. }) => false,
        }
    }
}

/// The bucket, as one run may use it.
#[derive(Debug)]
pub(crate) struct Store<'a> {
    http: &'a reqwest::Client,
    api: &'a CloudApi,
    timing: &'a Timing,
    task_id: TaskId,
    run_id: RunId,
    urls: Mutex<RunUrls>,
}

/// For one transfer; a large canvas on a slow link from a desk.
const TRANSFER: Duration = Duration::from_mins(5);
/// Between two pieces of a file that may take longer than that as a whole.
const SILENCE: Duration = Duration::from_secs(30);
/// Presigned URLs die with the session that signed them; more than one renewal in a row means something else.
const RENEWALS: u32 = 2;
const TRIES: u32 = 8;

impl<'a> Store<'a> {
    pub(crate) fn new(http: &'a reqwest::Client, api: &'a CloudApi, timing: &'a Timing, run: &Assignment) -> Self {
        let urls = Mutex::new(run.urls.clone());
        Self {
            http,
            api,
            timing,
            task_id: run.task_id,
            run_id: run.run_id,
            urls,
        }
    }

    /// The request's blob.
    pub(crate) async fn get(&self, blob: &InputBlob) -> Result<Bytes, StoreError> {
        let limit = inputs::limit(blob)?;
        let mut tries = Tries::new("inputs", self.timing);
        loop {
            match self.get_once(blob, limit).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => self.after(error, &mut tries).await?,
            }
        }
    }

    /// The run's LoRA in this place, into a file. `told` hears how many bytes have come.
    pub(crate) async fn lora(
        &self,
        place: usize,
        lora: &LoraFile,
        path: &Path,
        told: impl Fn(u64),
    ) -> Result<(), StoreError> {
        let mut tries = Tries::new("lora", self.timing);
        loop {
            match self.lora_once(place, lora, path, &told).await {
                Ok(()) => return Ok(()),
                Err(error) => self.after(error, &mut tries).await?,
            }
        }
    }

    /// Uploads the result.
    pub(crate) async fn put(&self, blob: &Bytes) -> Result<(), StoreError> {
        let mut tries = Tries::new("result", self.timing);
        loop {
            match self.put_once(blob).await {
                Ok(()) => return Ok(()),
                Err(error) => self.after(error, &mut tries).await?,
            }
        }
    }

    async fn get_once(&self, blob: &InputBlob, limit: u64) -> Result<Bytes, StoreError> {
        let url = self.urls.lock().await.input.clone().ok_or(BadInput::Missing)?;
        let reply = self.http.get(url).timeout(TRANSFER).send().await?;
        if reply.status() == StatusCode::NOT_FOUND {
            return Err(BadInput::Gone.into());
        }
        let reply = good(reply)?;
        let etag = reply.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
        inputs::check_etag(blob, etag)?;
        match fetch::read(reply, limit).await {
            Err(FetchError::TooLarge { .. }) => Err(BadInput::Incomplete.into()),
            other => Ok(other?),
        }
    }

    async fn lora_once(
        &self,
        place: usize,
        lora: &LoraFile,
        path: &Path,
        told: impl Fn(u64),
    ) -> Result<(), StoreError> {
        let gone = || LoraError::Bad(BadLora::Gone(lora.name.clone()));
        let url = self.urls.lock().await.loras.get(place).cloned().ok_or_else(gone)?;
        let mut reply = timeout(SILENCE, self.http.get(url).send()).await??;
        if reply.status() == StatusCode::NOT_FOUND {
            return Err(gone().into());
        }
        reply = good(reply)?;
        let mut part = Part::create(lora, path, self.run_id).await?;
        while let Some(bytes) = timeout(SILENCE, reply.chunk()).await?? {
            part.write(&bytes).await?;
            told(part.size);
        }
        Ok(part.finish().await?)
    }

    async fn put_once(&self, blob: &Bytes) -> Result<(), StoreError> {
        let url = self.urls.lock().await.upload.clone();
        let put = self
            .http
            .put(url)
            .timeout(TRANSFER)
            .header(CONTENT_TYPE, "application/octet-stream");
        good(put.body(blob.clone()).send().await?).map(drop)
    }

    /// What a failed transfer needs before it is tried again; the error if that makes no sense.
    async fn after(&self, error: StoreError, tries: &mut Tries) -> Result<(), StoreError> {
        let mut failed = error;
        if matches!(failed, StoreError::Status(StatusCode::FORBIDDEN)) && tries.renewals < RENEWALS {
            tracing::info!(
                what = tries.what,
                "the bucket's address has expired; asking for a fresh one"
            );
            match self.api.urls(self.run_id, self.task_id).await {
                Ok(fresh) => {
                    tries.renewals += 1;
                    *self.urls.lock().await = fresh;
                    return Ok(());
                }
                Err(error) => failed = error.into(),
            }
        }
        if !failed.is_retryable() || tries.backoff.tries() >= TRIES {
            return Err(failed);
        }
        tracing::warn!(
            what = tries.what,
            error = chain(&failed),
            "transfer failed; trying again"
        );
        tries.backoff.wait().await;
        Ok(())
    }
}

/// What one transfer has tried so far.
#[derive(Debug)]
struct Tries {
    what: &'static str,
    backoff: Backoff,
    renewals: u32,
}

impl Tries {
    fn new(what: &'static str, timing: &Timing) -> Self {
        Self {
            what,
            backoff: Backoff::new(timing.retry),
            renewals: 0,
        }
    }
}

fn good(reply: Response) -> Result<Response, StoreError> {
    let status = reply.status();
    if status.is_success() {
        Ok(reply)
    } else {
        Err(StoreError::Status(status))
    }
}
