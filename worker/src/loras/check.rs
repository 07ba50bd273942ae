//! Whether fetched files can be applied, and as what ComfyUI finds them.

use std::{collections::BTreeSet, path::Path};

use model::{RunId, worker_api::ModelFile};
use workflow::{Arch, LoraFit, read_lora};

use super::{
    error::{BadLora, LoraError},
    rename::Rename,
};
use crate::files::{self, FileCache, HeaderError, Purpose};

/// What a run's LoRAs of the studio's store are good for.
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
pub(crate) fn check<'a>(
    cache: &FileCache,
    loras: impl Iterator<Item = (&'a ModelFile, &'a Path)>,
    run: RunId,
) -> Result<Checked, LoraError> {
    let mut checked = Checked::default();
    for (lora, path) in loras {
        let name = || lora.name.clone();
        let header = files::read(path).map_err(|error| match error {
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
            if !FileCache::has(rename.path(), rename.size())? {
                // It goes by the hash of what came, which the run needs.
                cache.make_room(rename.size(), &BTreeSet::new(), Purpose::Run)?;
                rename.write(run)?;
            }
            checked.renamed.push((lora.file.clone(), rename.file));
        }
    }
    Ok(checked)
}
