//! A file that is being fetched: it gets its name when it is whole. Until then it can be gone on with, by whoever comes next.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use model::worker_api::ModelFile;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncSeekExt, AsyncWriteExt},
    task::spawn_blocking,
};

use super::{
    cache::{self, FileCache},
    error::FileError,
    header::{self, HeaderError},
};

/// How much is read at once.
pub(super) const PIECE: usize = 1 << 20;

/// What became of the wish to fetch a file.
#[derive(Debug)]
pub(crate) enum Taken {
    /// It is there.
    There,
    /// Somebody else fetches it.
    Busy,
    /// It is to be fetched by whoever holds this, and by nobody else.
    Part(Box<Part>),
}

/// What there is of a file so far. It is locked: two that need one file, in one worker or two, fetch it once.
#[derive(Debug)]
pub(crate) struct Part {
    model: ModelFile,
    path: PathBuf,
    unfinished: PathBuf,
    file: tokio::fs::File,
    hash: Sha256,
    /// Bytes that are there.
    pub(crate) size: u64,
    /// Some of them were there before.
    found: bool,
    /// Nothing of it is there any more.
    discarded: bool,
}

impl Part {
    /// Begins with a file that is to lie there, or goes on with it.
    pub(crate) async fn take(model: &ModelFile, path: &Path) -> Result<Taken, FileError> {
        let (model, path) = (model.clone(), path.to_owned());
        let taken = spawn_blocking(move || Self::take_now(model, path)).await;
        Ok(taken.map_err(io::Error::from)??)
    }

    fn take_now(model: ModelFile, path: PathBuf) -> io::Result<Taken> {
        if FileCache::has(&path, model.size)? {
            return Ok(Taken::There);
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let unfinished = cache::part_of(&path);
        let mut options = File::options();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&unfinished)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(Taken::Busy),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        // Whoever had it may have finished or deleted it meanwhile.
        let found = file.metadata()?;
        if !fs::metadata(&unfinished).is_ok_and(|now| now.ino() == found.ino()) {
            return Ok(Taken::Busy);
        }
        let (hash, size) = match found.len() {
            len if len > model.size => {
                file.set_len(0)?;
                (Sha256::new(), 0)
            }
            len => hashed(&mut file, len)?,
        };
        file.seek(SeekFrom::Start(size))?;
        Ok(Taken::Part(Box::new(Self {
            model,
            path,
            unfinished,
            file: file.into(),
            hash,
            size,
            found: size > 0,
            discarded: false,
        })))
    }

    /// Takes bytes in, never more than there are to be.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        if self.size + bytes.len() as u64 > self.model.size {
            return Err(self.wrong().await?);
        }
        self.hash.update(bytes);
        self.file.write_all(bytes).await?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Whether all bytes are there.
    pub(crate) fn is_whole(&self) -> bool {
        self.size == self.model.size
    }

    /// Whether some bytes were not taken in by this one; tells that once.
    pub(crate) fn was_found(&mut self) -> bool {
        std::mem::take(&mut self.found)
    }

    /// Makes it the file, if it is the one that was asked for; otherwise lets go of all bytes.
    pub(crate) async fn finish(&mut self) -> Result<(), FileError> {
        self.file.flush().await?;
        if !self.is_whole() || format!("{:x}", self.hash.clone().finalize()) != self.model.sha256 {
            return Err(self.wrong().await?);
        }
        let (unfinished, path, name) = (self.unfinished.clone(), self.path.clone(), self.model.name.clone());
        // What is special to LoRAs is looked at before each run.
        let is_lora = self.model.folder == ModelFile::LORAS;
        let finished = spawn_blocking(move || {
            if !is_lora {
                header::read(&unfinished).map_err(|error| match error {
                    HeaderError::Read(error) => error.into(),
                    HeaderError::NotSafetensors | HeaderError::Damaged => FileError::Damaged(name),
                })?;
            }
            Ok(fs::rename(&unfinished, &path)?)
        });
        let finished = finished.await.map_err(io::Error::from)?;
        if matches!(finished, Err(FileError::Damaged(_))) {
            self.discard();
        }
        finished
    }

    /// Begins anew.
    pub(crate) async fn restart(&mut self) -> Result<(), FileError> {
        self.file.flush().await?;
        self.file.set_len(0).await?;
        self.file.seek(SeekFrom::Start(0)).await?;
        (self.hash, self.size) = (Sha256::new(), 0);
        Ok(())
    }

    /// These are not the bytes that were asked for: none of them is worth keeping.
    async fn wrong(&mut self) -> Result<FileError, FileError> {
        self.restart().await?;
        Ok(FileError::Checksum)
    }

    /// Leaves nothing there.
    pub(crate) fn discard(&mut self) {
        // By now the name may be that of another's part. What stays is found by whoever makes room.
        if !std::mem::replace(&mut self.discarded, true) {
            let _ = fs::remove_file(&self.unfinished);
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.size == 0 {
            self.discard();
        }
    }
}

/// The hash of so many bytes of a file, as far as it has them.
fn hashed(file: &mut File, bytes: u64) -> io::Result<(Sha256, u64)> {
    let (mut hash, mut size, mut piece) = (Sha256::new(), 0, vec![0; PIECE]);
    let mut file = file.take(bytes);
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok((hash, size));
        }
        hash.update(&piece[..read]);
        size += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn part(model: &ModelFile, path: &Path) -> Part {
        match Part::take(model, path).await.unwrap() {
            Taken::Part(part) => *part,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_part_is_one_at_a_time_s_and_gone_on_with_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = b"which are no LoRA, but nobody looks";
        let model = ModelFile {
            name: "x".into(),
            folder: ModelFile::LORAS.into(),
            file: "x".into(),
            key: String::new(),
            sha256: format!("{:x}", Sha256::digest(bytes)),
            size: bytes.len() as u64,
            arch: String::new(),
        };
        let path = folder.path().join("team/x.safetensors");
        let mut first = part(&model, &path).await;
        assert!(matches!(Part::take(&model, &path).await.unwrap(), Taken::Busy));
        first.write(&bytes[..7]).await.unwrap();
        first.file.flush().await.unwrap();
        drop(first);
        let mut second = part(&model, &path).await;
        assert_eq!(second.size, 7);
        second.write(&bytes[7..]).await.unwrap();
        second.finish().await.unwrap();
        assert!(matches!(Part::take(&model, &path).await.unwrap(), Taken::There));
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        // Nothing is left of one that never got a byte, nor of one with others.
        let other = path.with_file_name("y.safetensors");
        drop(part(&model, &other).await);
        let mut wrong = part(&model, &other).await;
        assert!(matches!(wrong.write(&[0; 99]).await, Err(FileError::Checksum)));
        drop(wrong);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
