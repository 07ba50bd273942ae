//! Whether fetched files can be applied.

use std::path::PathBuf;

use model::worker_api::LoraFile;
use workflow::{Arch, LoraFit, lora_fit};

use super::{
    error::{BadLora, LoraError},
    header::{self, HeaderError},
};

/// What a run's uploaded LoRAs are good for.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// Files that must not be applied: made for another kind of model.
    pub(crate) misfits: Vec<String>,
    /// The painter should be told.
    pub(crate) warning: bool,
}

/// Looks whether these files can be applied. Reads their headers only; not for an async thread.
pub(crate) fn check(loras: &[(LoraFile, PathBuf)]) -> Result<Checked, LoraError> {
    let mut checked = Checked::default();
    for (lora, path) in loras {
        let name = || lora.name.clone();
        let tensors = header::read(path).map_err(|error| match error {
            HeaderError::NotSafetensors => BadLora::NotSafetensors(name()).into(),
            HeaderError::Damaged => BadLora::Damaged(name()).into(),
            HeaderError::Read(error) => LoraError::Disk(error),
        })?;
        let arch = Arch::from(lora.arch.clone());
        let tensors = tensors.iter().map(|(name, shape)| (name.as_str(), shape.as_slice()));
        let fit = lora_fit(&arch, tensors);
        if fit == LoraFit::NoLora {
            return Err(BadLora::NoLora(name()).into());
        }
        // What is unknown here, ComfyUI may know; it passes over what it does not.
        checked.warning |= fit != LoraFit::Fits;
        if fit == LoraFit::Misfit {
            checked.misfits.push(lora.file.clone());
        }
    }
    Ok(checked)
}
