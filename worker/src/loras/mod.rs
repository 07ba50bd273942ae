//! The LoRAs that painters upload: fetched before ComfyUI sees the graph, checked, and kept for the next time.

mod header;
mod part;
mod shelf;

use std::{io, path::PathBuf};

use model::worker_api::LoraFile;
use workflow::{Arch, LoraFit, lora_fit};

use header::HeaderError;
pub(crate) use part::Part;
pub(crate) use shelf::Shelf;

/// A painter's file cannot be used as LoRA.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadLora {
    #[error("Your LoRA \"{0}\" is no longer on the server. Please try again.")]
    Gone(String),
    #[error("Your LoRA \"{0}\" is damaged. Download or export it again.")]
    Damaged(String),
    #[error("Your LoRA \"{0}\" is no safetensors file. Convert it, or use another one.")]
    NotSafetensors(String),
    #[error("The file \"{0}\" is no LoRA. Remove it from the style or the prompt.")]
    NoLora(String),
}

/// An uploaded LoRA could not be made ready.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoraError {
    #[error("this host has no folder for uploaded LoRAs (ATELIER_MODELS)")]
    NoFolder,
    #[error("its name leads out of the folder")]
    Path,
    #[error("{0}")]
    Bad(#[from] BadLora),
    #[error("the folder of LoRAs cannot be used")]
    Disk(#[from] io::Error),
}

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
