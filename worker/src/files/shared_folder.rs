//! The folder that all machines of the studio share: what one of them has fetched from the bucket, nearer to the others.
//!
//! It may hang, vanish or be full at any time, and lies on a file system whose calls cannot be interrupted. So threads of its own
//! work on it, which nobody waits for; when it is in trouble it is passed over for a while.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use model::worker_api::{ModelFile, Source};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use tokio::{
    sync::mpsc,
    time::{error::Elapsed, timeout},
};
use uuid::Uuid;

use super::{
    cache::{PART, PART_LIFE, hash_of, team_of},
    error::FileError,
    part::{PIECE, Part},
};
use crate::{config::Timing, error::chain, host::gone, status::StatusBoard};

/// So many pieces of a file wait to be taken.
const PIECES: usize = 4;
/// So many files wait to be written there; more are left to other machines.
const WAITING: usize = 64;
/// How many hashes heartbeats tell, and how long each is.
const TOLD: (usize, usize) = (256, 8);

/// The shared folder.
#[derive(Debug)]
pub(crate) struct SharedFolder {
    root: PathBuf,
    silence: Duration,
    trouble: Arc<Trouble>,
    jobs: SyncSender<Job>,
    status: StatusBoard,
}

/// What is to be changed there, one after the other.
#[derive(Debug)]
enum Job {
    /// A file of this machine is to be written.
    Write(ModelFile, PathBuf),
    /// A damaged file is to go.
    Remove(PathBuf),
}

#[derive(Debug, thiserror::Error)]
enum SharedError {
    #[error("it cannot be used")]
    Disk(#[from] io::Error),
    #[error("it is silent")]
    Silent(#[from] Elapsed),
}

impl SharedFolder {
    pub(crate) fn new(root: PathBuf, timing: &Timing, status: StatusBoard) -> Self {
        let trouble = Arc::new(Trouble {
            again: timing.shared_again,
            until: Mutex::default(),
        });
        let (jobs, queue) = sync_channel(WAITING);
        let (folder, known, told) = (root.clone(), Arc::clone(&trouble), status.clone());
        thread::spawn(move || work(&folder, &queue, &known, &told));
        Self {
            root,
            silence: timing.shared_silence,
            trouble,
            jobs,
            status,
        }
    }

    /// Makes a part whole with what lies there, if it can; says whether it is the file by now. `told` hears how many bytes have
    /// come.
    pub(crate) async fn copy(&self, file: &ModelFile, part: &mut Part, told: impl Fn(u64)) -> Result<bool, FileError> {
        let Some(path) = place(&self.root, file) else {
            return Ok(false);
        };
        while !self.trouble.is_there() {
            let had = part.size;
            let mut pieces = read(path.clone(), had, file.size);
            loop {
                match timeout(self.silence, pieces.recv()).await {
                    Ok(Some(Ok(piece))) => part.write(&piece).await?,
                    Ok(Some(Err(error))) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                    Ok(Some(Err(error))) => {
                        self.trouble.begins(&error.into());
                        return Ok(false);
                    }
                    Ok(None) => break,
                    Err(silent) => {
                        self.trouble.begins(&silent.into());
                        return Ok(false);
                    }
                }
                told(part.size);
            }
            match part.finish().await {
                Ok(()) => {
                    self.trouble.ends();
                    return Ok(true);
                }
                // What an earlier fetch has left may be what was wrong.
                Err(FileError::Checksum) if had > 0 => {}
                Err(FileError::Checksum) => {
                    tracing::warn!(file = %path.display(), "a file in the shared folder is damaged; removing it");
                    self.status.damaged(&file.file, Source::Shared);
                    self.ask(Job::Remove(path));
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Has a file of this machine written there, some time.
    pub(crate) fn keep(&self, file: &ModelFile, path: &Path) {
        self.ask(Job::Write(file.clone(), path.to_owned()));
    }

    fn ask(&self, job: Job) {
        if let Err(error) = self.jobs.try_send(job) {
            tracing::debug!(%error, "too much is to be done in the shared folder");
        }
    }
}

/// Whether the folder is passed over.
#[derive(Debug)]
struct Trouble {
    again: Duration,
    until: Mutex<Option<Instant>>,
}

impl Trouble {
    fn is_there(&self) -> bool {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Said once, until it works again.
    fn begins(&self, error: &SharedError) {
        let until = Some(Instant::now() + self.again);
        let before = std::mem::replace(&mut *self.until.lock().unwrap_or_else(PoisonError::into_inner), until);
        if before.is_none() {
            tracing::warn!(error = chain(error), "the shared folder of models is passed over");
        }
    }

    fn ends(&self) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Where a file lies below the shared folder.
fn place(root: &Path, file: &ModelFile) -> Option<PathBuf> {
    let folder = root.join(team_of(file)?.as_str()).join(&file.folder);
    Some(folder.join(format!("{}.safetensors", file.sha256)))
}

/// Reads a file from a byte on, in its order, in a thread that ends when nobody takes the pieces.
fn read(path: PathBuf, from: u64, size: u64) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (to, pieces) = mpsc::channel(PIECES);
    thread::spawn(move || {
        let sent = || -> io::Result<()> {
            let mut options = File::options();
            let mut file = options
                .read(true)
                .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
                .open(path)?;
            if from > 0 {
                file.seek(SeekFrom::Start(from))?;
            }
            let mut file = file.take(size.saturating_sub(from));
            loop {
                let mut piece = vec![0; PIECE];
                let read = file.read(&mut piece)?;
                piece.truncate(read);
                if read == 0 || to.blocking_send(Ok(piece)).is_err() {
                    return Ok(());
                }
            }
        };
        if let Err(error) = sent() {
            let _ = to.blocking_send(Err(error));
        }
    });
    pieces
}

fn work(root: &Path, jobs: &Receiver<Job>, trouble: &Trouble, status: &StatusBoard) {
    tell(root, status);
    for job in jobs {
        if trouble.is_there() {
            continue;
        }
        let done = match job {
            Job::Write(file, path) => write(root, &file, &path),
            Job::Remove(path) => gone(fs::remove_file(path)),
        };
        match done {
            Ok(()) => {
                trouble.ends();
                tell(root, status);
            }
            Err(error) => trouble.begins(&error.into()),
        }
    }
}

/// Tells the control plane what lies there, as far as it can be read: only a hint.
fn tell(root: &Path, status: &StatusBoard) {
    let mut told = vec![];
    let names = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|it| it.path());
    for file in names(root).flat_map(|team| {
        names(&team)
            .flat_map(|folder| names(&folder).collect::<Vec<_>>())
            .collect::<Vec<_>>()
    }) {
        if told.len() < TOLD.0
            && file.extension().is_none_or(|it| it != PART)
            && let Some(hash) = hash_of(&file)
        {
            told.push(hash[..TOLD.1].to_owned());
        }
    }
    told.sort_unstable();
    told.dedup();
    status.has_on_shared(told);
}

/// Writes a file of this machine there, unless it is there or another machine does so.
fn write(root: &Path, file: &ModelFile, path: &Path) -> io::Result<()> {
    let (Some(to), Ok(mut from)) = (place(root, file), File::open(path)) else {
        // It had to make room.
        return Ok(());
    };
    if to.try_exists()? {
        return Ok(());
    }
    let Some(folder) = to.parent() else { return Ok(()) };
    // Not the folder itself: where it is missing, something is not mounted.
    for folder in [folder.parent().unwrap_or(root), folder] {
        match fs::create_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    if is_being_written(folder, &file.sha256)? {
        return Ok(());
    }
    // Machines that write the same file at once do not see each other's: the last name given is as good as the first.
    let unfinished = folder.join(format!("{}.{}.{PART}", file.sha256, Uuid::new_v4().simple()));
    let written = copy(&mut from, &unfinished, file).and_then(|()| fs::rename(&unfinished, &to));
    if written.is_err() {
        // What failed is the error to tell.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// Whether another machine writes this file; what one has left unfinished goes.
fn is_being_written(folder: &Path, hash: &str) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_none_or(|it| it != PART) {
            continue;
        }
        let Ok(changed) = entry.metadata().and_then(|it| it.modified()) else {
            continue;
        };
        if changed.elapsed().is_ok_and(|age| age > PART_LIFE) {
            gone(fs::remove_file(&path))?;
        } else if hash_of(&path).as_deref() == Some(hash) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn copy(from: &mut File, to: &Path, file: &ModelFile) -> io::Result<()> {
    let mut to = File::options().write(true).create_new(true).open(to)?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            break;
        }
        hash.update(&piece[..read]);
        to.write_all(&piece[..read])?;
    }
    if format!("{:x}", hash.finalize()) != file.sha256 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "what is on this machine's disk is damaged",
        ));
    }
    to.sync_all()
}
