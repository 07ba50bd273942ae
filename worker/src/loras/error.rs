//! Why a LoRA cannot be used.

use std::io;

/// A painter's file cannot be used as LoRA.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadLora {
    #[error("Your LoRA \"{0}\" is damaged. Download or export it again.")]
    Damaged(String),
    #[error("Your LoRA \"{0}\" is no safetensors file. Convert it, or use another one.")]
    NotSafetensors(String),
    #[error("The file \"{0}\" is no LoRA. Remove it from the style or the prompt.")]
    NoLora(String),
}

/// A LoRA could not be made ready.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoraError {
    #[error("{0}")]
    Bad(#[from] BadLora),
    #[error("the folder of LoRAs cannot be used")]
    Disk(#[from] io::Error),
}
