//! The transfers of one run, each tried until it works or cannot.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use model::{
    RunId, TaskId,
    worker_api::{Assignment, FreshUrls, InputBlob, MAX_PLAN, ModelFile, RunUrls},
};
use reqwest::{
    Response, StatusCode,
    header::{CONTENT_TYPE, ETAG},
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
    try_join,
};

use super::{download::download, error::TransferError};
use crate::{
    backoff::Backoff,
    config::Timing,
    control_plane::{CloudApi, CloudError},
    error::chain,
    fetch::{self, FetchError},
    files::{FileError, Part},
    images::{self, BadInput},
};

/// What one run fetches from the bucket and uploads to it.
#[derive(Debug)]
pub(crate) struct Transfers<'a> {
    http: &'a reqwest::Client,
    api: &'a CloudApi,
    timing: &'a Timing,
    task_id: TaskId,
    run_id: RunId,
    urls: Mutex<RunUrls>,
}

/// For one transfer; a large canvas on a slow link from a desk.
const TRANSFER: Duration = Duration::from_mins(5);
/// Presigned URLs die with the session that signed them; more than one renewal in a row means something else.
const RENEWALS: u32 = 2;
/// The pauses between so many tries make a minute at least.
pub(super) const TRIES: u32 = 12;
/// Thumbnails are worth fewer.
const THUMBNAIL_TRIES: u32 = 2;

/// Where a file stands in what a run needs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    Lora(usize),
    Model(usize),
}

impl Place {
    fn of(self, urls: &RunUrls) -> Option<&String> {
        match self {
            Self::Lora(place) => urls.loras.get(place),
            Self::Model(place) => urls.models.get(place),
        }
    }
}

impl<'a> Transfers<'a> {
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

    /// The plan, where it lies in the bucket.
    pub(crate) async fn plan(&self) -> Result<Bytes, TransferError> {
        let mut tries = Tries::new("plan", self.timing);
        loop {
            match self.plan_once().await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => self.after(error, &mut tries).await?,
            }
        }
    }

    /// The request's blob.
    pub(crate) async fn get(&self, blob: &InputBlob) -> Result<Bytes, TransferError> {
        let limit = images::limit(blob)?;
        let mut tries = Tries::new("inputs", self.timing);
        loop {
            match self.get_once(blob, limit).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => self.after(error, &mut tries).await?,
            }
        }
    }

    /// The rest of a file of the studio's store. `told` hears how many bytes have come.
    pub(super) async fn file(
        &self,
        place: Place,
        file: &ModelFile,
        part: &mut Part,
        told: impl Fn(u64),
    ) -> Result<(), TransferError> {
        let mut tries = Tries::new("model", self.timing);
        loop {
            let had = part.size;
            let url = {
                let urls = self.urls.lock().await;
                place.of(&urls).cloned()
            };
            let url = url.ok_or_else(|| FileError::Gone(file.name.clone()))?;
            match download(self.http, &url, file, part, &told).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tries.moved(part.size > had);
                    self.after(error, &mut tries).await?;
                }
            }
        }
    }

    /// Uploads the result and its thumbnails, these in the order of the pictures, to addresses that are asked for now and all
    /// at once: their sizes are known by now, and may be signed with them. Returns the sizes of the thumbnails that are there:
    /// all or none, if they are not uploaded by then; the result is whole without.
    pub(crate) async fn put(
        &self,
        blob: &Bytes,
        thumbnails: &[Bytes],
        until: Instant,
    ) -> Result<Vec<u64>, TransferError> {
        let mut tries = Tries {
            size: Some(blob.len() as u64),
            ..Tries::new("result", self.timing)
        };
        let sizes: Vec<_> = thumbnails.iter().map(|it| it.len() as u64).collect();
        while let Err(error) = self.ask_where_to_put(tries.size, &sizes).await {
            self.after(error, &mut tries).await?;
        }
        let urls = self.urls.lock().await.thumbnails.clone();
        let result = async {
            while let Err(error) = self.put_once(blob).await {
                self.after(error, &mut tries).await?;
            }
            Ok(())
        };
        let small = async {
            let put = timeout_at(until, self.put_thumbnails(&urls, thumbnails)).await;
            let put = put.unwrap_or_else(|elapsed| Err(elapsed.into()));
            if let Err(error) = put {
                tracing::warn!(run.id = %self.run_id, error = chain(&error), "the thumbnails could not be uploaded");
                return Ok(Vec::new());
            }
            Ok(sizes)
        };
        try_join!(result, small).map(|((), there)| there)
    }

    async fn put_thumbnails(&self, urls: &[String], thumbnails: &[Bytes]) -> Result<(), TransferError> {
        if urls.len() != thumbnails.len() {
            return Err(TransferError::NoUpload);
        }
        let puts = urls.iter().zip(thumbnails).map(async |(url, thumbnail)| {
            let mut backoff = Backoff::new(self.timing.retry);
            loop {
                let put = self.http.put(url).header(CONTENT_TYPE, "image/webp");
                let put = put.body(thumbnail.clone()).send().await;
                match put.map_err(TransferError::from).and_then(good) {
                    Err(error) if error.is_retryable() && backoff.tries() < THUMBNAIL_TRIES => backoff.wait().await,
                    done => return done.map(drop),
                }
            }
        });
        try_join_all(puts).await.map(drop)
    }

    /// Asks for the addresses of a result and thumbnails of these sizes. If the API does not say, the address that came with the
    /// run will do, where one did.
    async fn ask_where_to_put(&self, size: Option<u64>, thumbnails: &[u64]) -> Result<(), TransferError> {
        match self.renew(size, thumbnails).await {
            Err(error) if !self.urls.lock().await.upload.is_empty() => {
                tracing::warn!(
                    run.id = %self.run_id, error = chain(&error),
                    "no address for this very result; taking the one that came with the run"
                );
                Ok(())
            }
            // A picture is worth more than what is only for lists.
            Err(TransferError::Urls(CloudError::Refused { .. })) if !thumbnails.is_empty() => {
                self.renew(size, &[]).await
            }
            asked => asked,
        }
    }

    /// Gets fresh addresses; with sizes, those of the uploads are for a result and thumbnails of these sizes.
    async fn renew(&self, size: Option<u64>, thumbnails: &[u64]) -> Result<(), TransferError> {
        let wanted = FreshUrls {
            run_id: self.run_id,
            task_id: self.task_id,
            size,
            thumbnails: thumbnails.to_vec(),
        };
        let fresh = self.api.urls(&wanted).await?;
        if size.is_some() && fresh.upload.is_empty() {
            return Err(TransferError::NoUpload);
        }
        *self.urls.lock().await = fresh;
        Ok(())
    }

    async fn plan_once(&self) -> Result<Bytes, TransferError> {
        let url = self.urls.lock().await.plan.clone().unwrap_or_default();
        let reply = good(self.http.get(url).timeout(TRANSFER).send().await?)?;
        Ok(fetch::read(reply, MAX_PLAN).await?)
    }

    async fn get_once(&self, blob: &InputBlob, limit: u64) -> Result<Bytes, TransferError> {
        let url = self.urls.lock().await.input.clone().ok_or(BadInput::Missing)?;
        let reply = self.http.get(url).timeout(TRANSFER).send().await?;
        if reply.status() == StatusCode::NOT_FOUND {
            return Err(BadInput::Gone.into());
        }
        let reply = good(reply)?;
        let etag = reply.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
        images::check_etag(blob, etag)?;
        match fetch::read(reply, limit).await {
            Err(FetchError::TooLarge { .. }) => Err(BadInput::Incomplete.into()),
            other => Ok(other?),
        }
    }

    async fn put_once(&self, blob: &Bytes) -> Result<(), TransferError> {
        let url = self.urls.lock().await.upload.clone();
        let put = self
            .http
            .put(url)
            .timeout(TRANSFER)
            .header(CONTENT_TYPE, "application/octet-stream");
        good(put.body(blob.clone()).send().await?).map(drop)
    }

    /// What a failed transfer needs before it is tried again; the error if that makes no sense.
    async fn after(&self, error: TransferError, tries: &mut Tries) -> Result<(), TransferError> {
        let mut failed = error;
        if matches!(failed, TransferError::Status(StatusCode::FORBIDDEN)) && tries.renewals < RENEWALS {
            tracing::info!(
                run.id = %self.run_id, what = tries.what,
                "the bucket's address has expired; asking for a fresh one"
            );
            match self.renew(tries.size, &[]).await {
                Ok(()) => {
                    tries.renewals += 1;
                    return Ok(());
                }
                Err(error) => failed = error,
            }
        }
        if !failed.is_retryable() || tries.backoff.tries() >= TRIES {
            return Err(failed);
        }
        tracing::warn!(
            run.id = %self.run_id, what = tries.what, error = chain(&failed),
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
    /// Bytes of the result, if that is what is transferred.
    size: Option<u64>,
    backoff: Backoff,
    renewals: u32,
}

impl Tries {
    fn new(what: &'static str, timing: &Timing) -> Self {
        Self {
            what,
            size: None,
            backoff: Backoff::new(timing.retry),
            renewals: 0,
        }
    }

    /// A transfer that gets on, however slowly, is not given up.
    fn moved(&mut self, moved: bool) {
        if moved {
            self.backoff.reset();
            self.renewals = 0;
        }
    }
}

pub(super) fn good(reply: Response) -> Result<Response, TransferError> {
    let status = reply.status();
    if status.is_success() {
        Ok(reply)
    } else {
        Err(TransferError::Status(status))
    }
}
