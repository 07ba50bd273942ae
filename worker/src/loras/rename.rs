//! A LoRA again, with tensors named as ComfyUI reads them: another header before the same data.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use model::{RunId, worker_api::ModelFile};
use sha2::{Digest, Sha256};
use workflow::Renamed;

use super::error::LoraError;
use crate::files::{Header, PART};

/// The file to be, beside the one that came, whose name goes by its bytes; what is added to that goes by the new header, so
/// that a worker that renames otherwise makes another file.
#[derive(Debug)]
pub(super) struct Rename<'a> {
    from: &'a Path,
    path: PathBuf,
    /// Path below ComfyUI's folder of LoRAs.
    pub(super) file: String,
    header: Vec<u8>,
    /// Where the data begin in the file that came, and how many bytes they are.
    data: (u64, u64),
}

impl<'a> Rename<'a> {
    pub(super) fn new(
        lora: &ModelFile,
        from: &'a Path,
        header: &Header,
        renamed: &BTreeMap<String, Renamed>,
    ) -> Result<Self, LoraError> {
        let tensors = header.tensors.iter().map(|(name, tensor)| {
            let mut tensor = tensor.clone();
            let Some(new) = renamed.get(name) else {
                return (name.clone(), tensor);
            };
            if let Some(shape) = &new.shape {
                tensor.shape.clone_from(shape);
            }
            (new.name.clone(), tensor)
        });
        let new = header.with(&tensors.collect()).map_err(io::Error::from)?;
        let digest = Sha256::digest(&new);
        let dialect = digest
            .iter()
            .take(8)
            .fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        let extension = format!("{dialect:016x}.safetensors");
        let file = Path::new(&lora.file).with_extension(&extension);
        Ok(Self {
            from,
            path: from.with_extension(extension),
            file: file.to_string_lossy().into_owned(),
            header: new,
            data: (header.data, lora.size.saturating_sub(header.data)),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn size(&self) -> u64 {
        self.header.len() as u64 + self.data.1
    }

    /// Workers that share a folder may write the same file at once: the run makes the name.
    pub(super) fn write(&self, run: RunId) -> io::Result<()> {
        let unfinished = self.path.with_extension(format!("{run}.{PART}"));
        let written = self
            .copy(&unfinished)
            .and_then(|()| fs::rename(&unfinished, &self.path));
        if written.is_err() {
            // What failed is the error to tell.
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    fn copy(&self, to: &Path) -> io::Result<()> {
        let mut from = File::open(self.from)?;
        from.seek(SeekFrom::Start(self.data.0))?;
        let mut to = File::create(to)?;
        to.write_all(&self.header)?;
        io::copy(&mut from, &mut to).map(drop)
    }
}
