//! A file that is being fetched: it gets its name when it is whole, and is gone if that never happens.

use std::path::{Path, PathBuf};

use model::{RunId, worker_api::ModelFile};
use sha2::{Digest, Sha256};
use tokio::{
    fs::{self, File},
    io::AsyncWriteExt,
};

use super::{
    cache,
    error::{BadLora, LoraError},
};

#[derive(Debug)]
pub(crate) struct Part<'a> {
    lora: &'a ModelFile,
    path: &'a Path,
    unfinished: PathBuf,
    file: File,
    hash: Sha256,
    pub(crate) size: u64,
}

impl<'a> Part<'a> {
    /// Workers that share a folder may fetch the same file at once: the run makes the name.
    pub(crate) async fn create(lora: &'a ModelFile, path: &'a Path, run: RunId) -> Result<Self, LoraError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).await?;
        }
        let unfinished = path.with_extension(format!("{run}.{}", cache::PART));
        let file = File::create(&unfinished).await?;
        Ok(Self {
            lora,
            path,
            unfinished,
            file,
            hash: Sha256::new(),
            size: 0,
        })
    }

    /// Takes bytes in, never more than there are to be.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), LoraError> {
        self.size += bytes.len() as u64;
        if self.size > self.lora.size {
            return Err(BadLora::Damaged(self.lora.name.clone()).into());
        }
        self.hash.update(bytes);
        Ok(self.file.write_all(bytes).await?)
    }

    /// Makes it the file, if it is the one that was asked for.
    pub(crate) async fn finish(mut self) -> Result<(), LoraError> {
        self.file.flush().await?;
        if format!("{:x}", self.hash.finalize_reset()) != self.lora.sha256 {
            return Err(BadLora::Damaged(self.lora.name.clone()).into());
        }
        Ok(fs::rename(&self.unfinished, self.path).await?)
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        // After a rename there is nothing to remove.
        let _ = std::fs::remove_file(&self.unfinished);
    }
}
