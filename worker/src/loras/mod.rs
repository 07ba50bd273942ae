//! What is special to LoRAs: whether they act on the checkpoint, and in which dialect ComfyUI reads them.

mod check;
mod error;
#[cfg(test)]
mod fuzz;
mod rename;

pub(crate) use check::{Checked, check};
pub(crate) use error::LoraError;
