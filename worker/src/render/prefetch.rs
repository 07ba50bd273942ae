//! Files that are fetched before anybody holds a run that needs them, one at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::Arc,
};

use model::{CatalogEntry, TeamId, worker_api::FileOffer};
use serde_json::Value;
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep},
};
use workflow::Plan;

use super::renderer::Renderer;
use crate::{
    error::chain,
    files::{FileCache, FileError, Purpose, Room, team_of},
    transfer::{Fetcher, Origin, TransferError},
};

/// What is offered, most urgent first.
#[derive(Debug, Default)]
struct Offers {
    /// For the next tasks in line.
    next: Vec<FileOffer>,
    /// What the pool's painters ask for most.
    usual: Vec<FileOffer>,
}

/// Fetches what is offered while nobody needs the line for a run.
#[derive(Debug)]
pub(crate) struct Prefetch {
    fetcher: Arc<Fetcher>,
    offers: watch::Sender<Offers>,
}

/// An offer, what for, and where it is to lie.
type Chosen = (FileOffer, Purpose, PathBuf);
/// Since when files cannot be fetched.
type Failed = BTreeMap<PathBuf, Instant>;

impl Prefetch {
    pub(crate) fn new(fetcher: Arc<Fetcher>) -> Self {
        Self {
            fetcher,
            offers: watch::Sender::default(),
        }
    }

    /// The next tasks in line need these; nobody needs what was offered before and is not among them.
    pub(crate) fn next(&self, files: &[FileOffer]) {
        self.offers.send_if_modified(|offers| {
            let news = offers.next != files;
            if news {
                offers.next = files.to_vec();
            }
            news
        });
    }

    /// The pool's painters ask for these.
    pub(crate) fn usual(&self, files: &[FileOffer]) {
        self.offers.send_modify(|offers| offers.usual = files.to_vec());
    }

    /// Fetches for as long as it is let.
    pub(crate) async fn run(&self) {
        let (mut offers, mut urgent) = (self.offers.subscribe(), self.fetcher.urgent());
        let mut failed = Failed::new();
        // Cannot fail: the senders are held here.
        while urgent.wait_for(|urgent| *urgent == 0).await.is_ok() {
            let chosen = self.choose(&offers.borrow_and_update(), &failed);
            let Some(chosen) = chosen else {
                tokio::select! {
                    changed = offers.changed() => if changed.is_err() { return },
                    () = sleep(self.fetcher.timing.fetch_again) => {}
                }
                continue;
            };
            let (FileOffer { file, .. }, purpose, path) = &chosen;
            tracing::info!(
                folder = file.folder,
                file = file.file,
                bytes = file.size,
                ?purpose,
                "fetching a model ahead"
            );
            tokio::select! {
                biased;
                // What has come stays: whoever wants it goes on with it.
                _ = urgent.wait_for(|urgent| *urgent > 0) => {}
                () = self.superseded(&mut offers, &failed, path) => {}
                fetched = self.fetch(&chosen) => if let Err(error) = fetched {
                    tracing::warn!(file = file.file, error = chain(&error), "a model could not be fetched ahead");
                    failed.retain(|_, at| at.elapsed() < self.fetcher.timing.fetch_again);
                    failed.insert(path.clone(), Instant::now());
                    // Nobody waits for it, and its address gets no younger.
                    self.offers.send_modify(|offers| offers.usual.retain(|it| it.file != *file));
                }
            }
            let cache = Arc::clone(&self.fetcher.cache);
            drop(spawn_blocking(move || cache.tell()));
        }
    }

    /// The most urgent of what is not there and has not just failed.
    fn choose(&self, offers: &Offers, failed: &Failed) -> Option<Chosen> {
        let next = offers.next.iter().map(|offer| (offer, Purpose::Next));
        let usual = offers.usual.iter().map(|offer| (offer, Purpose::Usual));
        next.chain(usual).find_map(|(offer, purpose)| {
            let path = self.fetcher.cache.path(&offer.file)?;
            let has_failed = failed
                .get(&path)
                .is_some_and(|at| at.elapsed() < self.fetcher.timing.fetch_again);
            let wanted = !has_failed && !FileCache::is_there(&path, offer.file.size);
            wanted.then(|| (offer.clone(), purpose, path))
        })
    }

    /// Resolves when another file is to be fetched than this one.
    async fn superseded(&self, offers: &mut watch::Receiver<Offers>, failed: &Failed, path: &PathBuf) {
        while offers.changed().await.is_ok() {
            let chosen = self.choose(&offers.borrow_and_update(), failed);
            if chosen.is_none_or(|(_, _, chosen)| chosen != *path) {
                return;
            }
        }
    }

    async fn fetch(&self, (FileOffer { file, url }, purpose, path): &Chosen) -> Result<(), TransferError> {
        let keep = match purpose {
            Purpose::Next => self
                .offers
                .borrow()
                .next
                .iter()
                .map(|offer| offer.file.sha256.clone())
                .collect(),
            _ => BTreeSet::new(),
        };
        if make_room(&self.fetcher, file.size, path.clone(), keep, *purpose).await? != Room::Enough {
            return Err(FileError::Full.into());
        }
        self.fetcher.fetch(file, path, &Origin::Offer(url), |_| ()).await?;
        Ok(())
    }
}

impl Renderer {
    /// Fetches what the warm-up plan needs, then waits until ComfyUI has run it.
    pub(crate) async fn warm_up(&self, plan: Option<&Value>, offers: &[FileOffer]) {
        let read = plan.and_then(|plan| <Plan as serde::Deserialize>::deserialize(plan).ok());
        let needed = |offer: &&FileOffer| read.as_ref().is_some_and(|plan| plan.models.contains(&offer.file.file));
        let needed: Vec<_> = offers.iter().filter(needed).collect();
        if let Some(fetcher) = &self.fetcher {
            fetcher
                .cache
                .need(needed.iter().map(|offer| offer.file.sha256.clone()).collect());
        }
        for offer in &needed {
            if let Err(error) = self.fetch_first(offer).await {
                tracing::error!(
                    file = offer.file.file,
                    error = chain(&error),
                    "the warm-up's model cannot be fetched; going on without"
                );
            }
        }
        let mut teams = needed.iter().filter_map(|offer| team_of(&offer.file));
        let team: Option<TeamId> = teams.find(|team| team.as_str() != CatalogEntry::SHARED);
        self.host.warm_up(plan, team).await;
    }

    async fn fetch_first(&self, FileOffer { file, url }: &FileOffer) -> Result<(), TransferError> {
        let fetcher = self.fetcher.as_ref().ok_or(FileError::NoFolder)?;
        let path = fetcher.cache.path(file).ok_or(FileError::Path)?;
        let _first = fetcher.first();
        if FileCache::is_there(&path, file.size) {
            return Ok(());
        }
        if make_room(fetcher, file.size, path.clone(), BTreeSet::new(), Purpose::Run).await? == Room::None {
            return Err(FileError::Full.into());
        }
        fetcher.fetch(file, &path, &Origin::Offer(url), |_| ()).await?;
        let cache = Arc::clone(&fetcher.cache);
        spawn_blocking(move || cache.tell())
            .await
            .map_err(io::Error::from)
            .map_err(FileError::from)?;
        Ok(())
    }
}

/// Makes room for the rest of a file.
async fn make_room(
    fetcher: &Fetcher,
    size: u64,
    path: PathBuf,
    keep: BTreeSet<String>,
    purpose: Purpose,
) -> Result<Room, FileError> {
    let cache = Arc::clone(&fetcher.cache);
    let room = spawn_blocking(move || cache.make_room(FileCache::left(&path, size), &keep, purpose));
    Ok(room.await.map_err(io::Error::from)??)
}
