//! Whether fetched files can be applied, and as what ComfyUI finds them.

use std::path::PathBuf;

use model::{RunId, worker_api::ModelFile};
use workflow::{Arch, LoraFit, read_lora};

use super::{
    cache::LoraCache,
    error::{BadLora, LoraError},
    header::{self, HeaderError},
    rename::Rename,
};

/// What a run's uploaded LoRAs are good for.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// Files that must not be applied: made for another kind of model.
    pub(crate) misfits: Vec<String>,
    /// What is to be loaded instead: the file as it came, and the one in whose dialect ComfyUI reads it.
    pub(crate) renamed: Vec<(String, String)>,
    /// The painter should be told.
    pub(crate) warning: bool,
}

/// Looks whether these files can be applied, and writes those anew whose tensors ComfyUI would pass over. Reads only headers
/// of what need not be written; not for an async thread.
pub(crate) fn check(cache: &LoraCache, loras: &[(ModelFile, PathBuf)], run: RunId) -> Result<Checked, LoraError> {
    let mut checked = Checked::default();
    let mut keep: Vec<_> = loras.iter().map(|(_, path)| path.clone()).collect();
    for (lora, path) in loras {
        let name = || lora.name.clone();
        let header = header::read(path).map_err(|error| match error {
            HeaderError::NotSafetensors => BadLora::NotSafetensors(name()).into(),
            HeaderError::Damaged => BadLora::Damaged(name()).into(),
            HeaderError::Read(error) => LoraError::Disk(error),
        })?;
        let arch = Arch::from(lora.arch.clone());
        let tensors = header.tensors.iter();
        let reading = read_lora(
            &arch,
            tensors.map(|(name, tensor)| (name.as_str(), tensor.shape.as_slice())),
        );
        if reading.fit == LoraFit::NoLora {
            return Err(BadLora::NoLora(name()).into());
        }
        // What is unknown here, ComfyUI may know; it passes over what it does not.
        checked.warning |= reading.fit != LoraFit::Fits;
        if reading.fit == LoraFit::Misfit {
            checked.misfits.push(lora.file.clone());
        }
        if !reading.renamed.is_empty() {
            let rename = Rename::new(lora, path, &header, &reading.renamed)?;
            keep.push(rename.path().to_owned());
            if !LoraCache::has(rename.path(), rename.size())? {
                cache.make_room(rename.size(), &keep)?;
                rename.write(run)?;
            }
            checked.renamed.push((lora.file.clone(), rename.file));
        }
    }
    Ok(checked)
}
