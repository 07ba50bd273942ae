//! Architectures that are used alike.

use crate::{
    refusal::{Refusal, not_yet, unknown},
    wire::Arch,
};

/// What architectures that are used alike have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Sd15,
    /// SDXL, Illustrious and those of its kind.
    Sdxl,
    Flux,
}

impl Family {
    pub(crate) fn parse(arch: &Arch) -> Result<Self, Refusal> {
        match arch {
            Arch::Sd15 => Ok(Self::Sd15),
            Arch::Sdxl | Arch::Illu | Arch::IlluV => Ok(Self::Sdxl),
            Arch::Flux => Ok(Self::Flux),
            Arch::Unknown(name) => Err(unknown("model type", name)),
            known => Err(not_yet(&format!("the model type {known}"))),
        }
    }
}
