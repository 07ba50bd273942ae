//! The files on disk: where they lie, and which go when the room is needed.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use model::{
    TeamId,
    worker_api::{ModelFile, Source},
};

use super::damage::remove_if_damaged;
use crate::{
    host::{FOLDERS, STORE, gone},
    status::StatusBoard,
};

/// Of a file that is being written.
pub(crate) const PART: &str = "part";
/// A file that nobody has gone on writing for so long is not gone on with.
pub(super) const PART_LIFE: Duration = Duration::from_hours(1);
/// Without a budget the disk is filled to this share, hundredths.
const SHARE: u64 = 80;
/// What is left of the disk for pictures at work, bytes; of a small one a hundredth.
const RESERVE: u64 = 1 << 30;
/// How many hashes heartbeats tell, and how long each is.
const TOLD: (usize, usize) = (64, 8);

/// What the studio's store has in ComfyUI's folders of models: below `<folder>/atelier/<team>`, where all is ours. All of it
/// together is bounded. A file's time of change is when it was last used; ComfyUI does not look at it.
#[derive(Debug)]
pub(crate) struct FileCache {
    root: PathBuf,
    budget: Option<u64>,
    status: StatusBoard,
    /// Hashes of what the run of now needs.
    needed: Mutex<BTreeSet<String>>,
}

/// Whether there is room for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Enough,
    /// More of the disk is filled than should be.
    Tight,
    /// The budget or the disk does not suffice.
    None,
}

/// What room is made for. Nothing goes in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A run, for which more of the disk may be taken than should be.
    Run,
    /// A run that may come.
    Next,
    /// What is often asked for: nothing goes.
    Usual,
}

impl FileCache {
    /// In ComfyUI's folder of models, with so many bytes at most; without a number, as many as the disk can spare.
    pub(crate) fn new(models: PathBuf, budget: Option<u64>, status: StatusBoard) -> Self {
        Self {
            root: models,
            budget,
            status,
            needed: Mutex::default(),
        }
    }

    /// Where a file lies; none if its name leads anywhere else.
    pub(crate) fn path(&self, file: &ModelFile) -> Option<PathBuf> {
        team_of(file)?;
        let folder = FOLDERS.iter().find(|folder| **folder == file.folder)?;
        Some(self.root.join(folder).join(&file.file))
    }

    /// Whether the file is there, whole; if so, notes that it is being used.
    pub(crate) fn has(path: &Path, size: u64) -> io::Result<bool> {
        match fs::File::options().write(true).open(path) {
            Ok(file) => {
                file.set_modified(SystemTime::now())?;
                Ok(file.metadata()?.len() == size)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// How many bytes of a file are to come.
    pub(crate) fn left(path: &Path, size: u64) -> u64 {
        size.saturating_sub(fs::metadata(part_of(path)).map_or(0, |part| part.len()))
    }

    /// From now on nothing of these goes, and of what earlier runs needed only what ComfyUI may have loaded stays.
    pub(crate) fn need(&self, hashes: BTreeSet<String>) {
        *self.needed.lock().unwrap_or_else(PoisonError::into_inner) = hashes;
    }

    /// Whether the file is there, whole.
    pub(crate) fn is_there(path: &Path, size: u64) -> bool {
        fs::metadata(path).is_ok_and(|file| file.len() == size)
    }

    /// Tells that a file was found damaged.
    pub(crate) fn damaged(&self, file: &ModelFile, from: Source) {
        self.status.damaged(&file.file, from);
    }

    /// After ComfyUI could not read a file: deletes and tells of those that are damaged on this disk. Says whether there was one.
    pub(crate) fn remove_damaged<'a>(
        &self,
        files: impl Iterator<Item = (&'a ModelFile, &'a Path)>,
    ) -> io::Result<bool> {
        let mut found = false;
        for (file, path) in files {
            if remove_if_damaged(file, path)? {
                tracing::warn!(
                    file = file.file,
                    "a file on this machine's disk was damaged; it is removed"
                );
                self.damaged(file, Source::Disk);
                found = true;
            }
        }
        if found {
            self.tell();
        }
        Ok(found)
    }

    /// Deletes what was not used for the longest time until so many more bytes fit, but nothing of `keep`, nothing that a run
    /// needs, and nothing that ComfyUI may have loaded.
    pub(crate) fn make_room(&self, wanted: u64, keep: &BTreeSet<String>, purpose: Purpose) -> io::Result<Room> {
        fs::create_dir_all(&self.root)?;
        let mut files = vec![];
        for file in self.files()? {
            if !(file.is_stale() && file.delete()?) {
                files.push(file);
            }
        }
        let mut ours = files.iter().map(|file| file.size).sum::<u64>();
        let limits = self.limits(ours)?;
        files.sort_by_key(|file| file.used);
        let (mut left, mut surplus) = (ours, vec![]);
        for file in files {
            if left.saturating_add(wanted) <= limits.should {
                break;
            }
            let is_kept = file.hash.as_ref().is_some_and(|hash| self.is_kept(hash, keep));
            if !is_kept && !file.is_held() {
                left -= file.size;
                surplus.push(file);
            }
        }
        let may_go = match purpose {
            Purpose::Run => limits.room(left, wanted) != Room::None,
            Purpose::Next => limits.room(left, wanted) == Room::Enough,
            Purpose::Usual => false,
        };
        for file in surplus.into_iter().filter(|_| may_go) {
            if file.delete()? {
                ours -= file.size;
            }
        }
        Ok(limits.room(ours, wanted))
    }

    /// Tells the control plane what is there.
    pub(crate) fn tell(&self) {
        match self.files() {
            Ok(mut files) => {
                files.retain(|file| !file.is_part());
                files.sort_by_key(|file| std::cmp::Reverse(file.used));
                let mut told: Vec<String> = vec![];
                for hash in files.iter().filter_map(|file| file.hash.as_deref()) {
                    if told.len() < TOLD.0 && !told.iter().any(|known| hash.starts_with(known.as_str())) {
                        told.push(hash[..TOLD.1].to_owned());
                    }
                }
                self.status.has_on_disk(told);
            }
            Err(error) => tracing::warn!(%error, "the folder of models cannot be read"),
        }
    }

    fn files(&self) -> io::Result<Vec<Stored>> {
        let mut files = vec![];
        for folder in FOLDERS {
            collect(&self.root.join(folder).join(STORE), &mut files)?;
        }
        Ok(files)
    }

    fn is_kept(&self, hash: &str, keep: &BTreeSet<String>) -> bool {
        keep.contains(hash)
            || self
                .needed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(hash)
            || self
                .status
                .may_have_loaded(|model| hash_of(Path::new(model)).is_some_and(|it| it == hash))
    }

    /// Where the files lie.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// With so many bytes of ours.
    fn limits(&self, ours: u64) -> io::Result<Limits> {
        let disk = rustix::fs::statvfs(&self.root)?;
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        let disk = Disk {
            size: bytes(disk.f_blocks),
            free: bytes(disk.f_bfree),
            available: bytes(disk.f_bavail),
        };
        Ok(Limits::of(disk, ours, self.budget))
    }
}

/// A disk, in bytes. What is free need not be available: some is kept for root, or beyond a quota.
#[derive(Debug, Clone, Copy)]
struct Disk {
    size: u64,
    free: u64,
    available: u64,
}

/// How many bytes all files should and may have.
#[derive(Debug, Clone, Copy)]
struct Limits {
    should: u64,
    may: u64,
}

impl Limits {
    fn of(disk: Disk, ours: u64, budget: Option<u64>) -> Self {
        let hundredth = disk.size / 100;
        let others = (disk.size - disk.free).saturating_sub(ours);
        let all = ours.saturating_add(disk.available.saturating_sub(hundredth.min(RESERVE)));
        let may = budget.unwrap_or(u64::MAX).min(all);
        let should = budget.unwrap_or((hundredth * SHARE).saturating_sub(others)).min(may);
        Self { should, may }
    }

    fn room(self, ours: u64, wanted: u64) -> Room {
        match ours.saturating_add(wanted) {
            all if all <= self.should => Room::Enough,
            all if all <= self.may => Room::Tight,
            _ => Room::None,
        }
    }
}

/// The team whose file it is; none if the file is not named as one of the store is: by folder, team and hash.
pub(crate) fn team_of(file: &ModelFile) -> Option<TeamId> {
    let (team, name) = file.file.strip_prefix(STORE)?.strip_prefix('/')?.split_once('/')?;
    let hash = name.strip_suffix(".safetensors")?;
    let fits = hash == file.sha256 && is_hash(hash) && !team.starts_with('.');
    fits.then(|| team.parse().ok())?
}

/// The hash that a file of the store is named by, a part or a renamed one too.
pub(crate) fn hash_of(path: &Path) -> Option<String> {
    let hash = path.file_name()?.to_str()?.split('.').next()?;
    is_hash(hash).then(|| hash.to_owned())
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
}

/// Where a file lies while it is not whole.
pub(super) fn part_of(path: &Path) -> PathBuf {
    path.with_extension(PART)
}

#[derive(Debug)]
struct Stored {
    path: PathBuf,
    hash: Option<String>,
    size: u64,
    used: SystemTime,
}

impl Stored {
    fn is_part(&self) -> bool {
        self.path.extension().is_some_and(|it| it == PART)
    }

    fn is_stale(&self) -> bool {
        let unused = SystemTime::now().duration_since(self.used);
        self.is_part() && unused.is_ok_and(|age| age > PART_LIFE)
    }

    /// Whether somebody is fetching it.
    fn is_held(&self) -> bool {
        self.is_part() && fs::File::open(&self.path).is_ok_and(|file| file.try_lock().is_err())
    }

    /// Whether it is gone: what is being fetched stays.
    fn delete(&self) -> io::Result<bool> {
        if self.is_held() {
            return Ok(false);
        }
        tracing::info!(file = %self.path.display(), bytes = self.size, "making room for models");
        // Another worker with the same folder may have been faster.
        gone(fs::remove_file(&self.path)).map(|()| true)
    }
}

fn collect(folder: &Path, files: &mut Vec<Stored>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else if let Ok(metadata) = entry.metadata() {
            let path = entry.path();
            files.push(Stored {
                hash: hash_of(&path),
                path,
                size: metadata.len(),
                used: metadata.modified()?,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
