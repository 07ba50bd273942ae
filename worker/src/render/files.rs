//! A run's files of the studio's store.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use model::{
    CatalogEntry,
    worker_api::{Assignment, ModelFile, Read},
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use super::{error::RenderError, renderer::Renderer, steps::elapsed};
use crate::{
    config::millis,
    files::{FileCache, FileError, Purpose, Room, team_of},
    loras::{self, Checked},
    transfer::{Origin, Place, Transfers},
};

/// The share of a run's progress that fetching its files makes, if any are not there.
const FETCHING: f32 = 0.2;

/// A run's files, which are there.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) checked: Checked,
    /// What was fetched for it.
    pub(super) reads: Vec<Read>,
    /// How long that took.
    pub(super) fetching: Duration,
}

/// How long a run may fetch its files, where that is no part of its own limit.
pub(super) fn fetch_limit(run: &Assignment) -> Option<Duration> {
    (run.fetch_limit_ms > 0).then(|| millis(run.fetch_limit_ms))
}

/// A file, where its address is, and where it is to lie.
type Wanted = (ModelFile, Place, PathBuf);

impl Renderer {
    /// Fetches the files that this host does not have, and checks the LoRAs, before ComfyUI is asked for anything. Says how long
    /// that took.
    pub(super) async fn files(&self, run: &Assignment, transfers: &Transfers<'_>) -> Result<Files, RenderError> {
        if run.loras.is_empty() && run.models.is_empty() {
            return Ok(Files::default());
        }
        let fetcher = self.fetcher.as_ref().ok_or(FileError::NoFolder)?;
        let _first = fetcher.first();
        let wanted = Arc::new(wanted(&fetcher.cache, run).ok_or(FileError::Path)?);
        fetcher
            .cache
            .need(wanted.iter().map(|(file, ..)| file.sha256.clone()).collect());
        let missing = self.make_ready(&fetcher.cache, &wanted).await?;
        let fetch_limit = fetch_limit(run);

        let bytes: u64 = missing.iter().map(|place| wanted[*place].0.size).sum();
        let (mut done, mut files) = (0, Files::default());
        let begins = Instant::now();
        for place in missing {
            let (file, address, path) = &wanted[place];
            tracing::info!(
                run.id = %run.run_id, folder = file.folder, file = file.file, bytes = file.size, "fetching a model"
            );
            let told = |come: u64| {
                let share = (done + come) as f32 / bytes as f32;
                self.status.progress(FETCHING * share);
            };
            let (begun, left) = (Instant::now(), FileCache::left(path, file.size));
            let origin = Origin::Run(transfers, *address);
            let fetch = fetcher.fetch(file, path, &origin, told);
            let from = match fetch_limit {
                Some(limit) => timeout_at(begins + limit, fetch)
                    .await
                    .map_err(|_| RenderError::SlowFetch)?,
                None => fetch.await,
            };
            let from = from.map_err(RenderError::FetchFile)?;
            files.reads.extend(from.map(|from| Read {
                from,
                bytes: left,
                ms: elapsed(begun),
            }));
            done += file.size;
        }
        files.fetching = begins.elapsed();
        let (cache, run) = (Arc::clone(&fetcher.cache), run.run_id);
        let checked = spawn_blocking(move || {
            let loras = wanted.iter().filter(|(file, ..)| file.folder == ModelFile::LORAS);
            let checked = loras::check(&cache, loras.map(|(file, _, path)| (file, path.as_path())), run);
            cache.tell();
            checked
        });
        files.checked = checked.await??;
        Ok(files)
    }

    /// After ComfyUI could not read a model file: whether one on this machine's disk is damaged. Such a one is gone then, so that the
    /// next run fetches it anew.
    pub(super) async fn removes_damaged(&self, run: &Assignment) -> Result<bool, RenderError> {
        let Some(fetcher) = &self.fetcher else { return Ok(false) };
        let Some(wanted) = wanted(&fetcher.cache, run) else {
            return Ok(false);
        };
        let cache = Arc::clone(&fetcher.cache);
        let found =
            spawn_blocking(move || cache.remove_damaged(wanted.iter().map(|(file, _, path)| (file, path.as_path()))));
        Ok(found.await?.map_err(FileError::from)?)
    }

    /// Makes room for those that are not there; gives their places.
    async fn make_ready(&self, cache: &Arc<FileCache>, wanted: &Arc<Vec<Wanted>>) -> Result<Vec<usize>, RenderError> {
        let look = || {
            let (cache, wanted) = (Arc::clone(cache), Arc::clone(wanted));
            spawn_blocking(move || look(&cache, &wanted))
        };
        let (missing, mut room) = look().await??;
        if room == Room::None && self.status.may_have_loaded(|_| true) {
            // What it has loaded need not stay on the disk if it lets go of it.
            tracing::info!("ComfyUI is to let go of its models: their files are in the way");
            self.host.comfy.clear().await?;
            self.status.unloaded();
            room = look().await??.1;
        }
        match room {
            Room::None => Err(FileError::Full.into()),
            Room::Tight => {
                tracing::warn!("more of the disk is taken than should be");
                Ok(missing)
            }
            Room::Enough => Ok(missing),
        }
    }
}

/// The files of a run, each once; none if one is named as no file of its team is.
fn wanted(cache: &FileCache, run: &Assignment) -> Option<Vec<Wanted>> {
    let loras = run
        .loras
        .iter()
        .enumerate()
        .map(|(place, file)| (file, Place::Lora(place)));
    let models = run
        .models
        .iter()
        .enumerate()
        .map(|(place, file)| (file, Place::Model(place)));
    let (mut wanted, mut seen) = (vec![], BTreeSet::new());
    for (file, place) in loras.chain(models) {
        let team = team_of(file)?;
        let path = cache.path(file)?;
        if team != run.team && team.as_str() != CatalogEntry::SHARED {
            return None;
        }
        if seen.insert(path.clone()) {
            wanted.push((file.clone(), place, path));
        }
    }
    Some(wanted)
}

/// Makes room for the files that are not there; gives their places.
fn look(cache: &FileCache, files: &[Wanted]) -> Result<(Vec<usize>, Room), FileError> {
    let (mut missing, mut bytes) = (vec![], 0_u64);
    for (place, (file, _, path)) in files.iter().enumerate() {
        if !FileCache::has(path, file.size)? {
            missing.push(place);
            bytes = bytes.saturating_add(FileCache::left(path, file.size));
        }
    }
    let room = if missing.is_empty() {
        Room::Enough
    } else {
        cache.make_room(bytes, &BTreeSet::new(), Purpose::Run)?
    };
    Ok((missing, room))
}
