//! What a model file is, by its safetensors header alone: names and shapes of its tensors, and what its trainer wrote down.
//!
//! Pure: whoever has the file, or its first bytes, asks here.

mod kind;
mod training;

use std::collections::BTreeMap;

use safetensors::tensor::Metadata;

pub use kind::{Found, Kind};
pub use training::Training;

/// Bytes that say how long the header is.
pub const LENGTH: usize = 8;
/// The longest header that is read, bytes. Those of checkpoints have some hundred KB; the format allows 100 MB.
pub const MAX_HEADER: u64 = 16 << 20;

/// A file is not taken, in words for whoever has it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A pickle can run anything on whoever loads it.
    #[error(
        "This is a pickle (.ckpt, .pt, .pth or .bin), which can run programs on the machine that loads it. Convert it to \
         safetensors, or download the safetensors version."
    )]
    Pickle,
    /// Another format.
    #[error("GGUF files are not supported: ComfyUI needs an extension for them. Use the safetensors version.")]
    Gguf,
    /// Whatever else.
    #[error(
        "This is not a safetensors file. Download it again; a page that asked for a sign-in may have been saved in its place."
    )]
    NotSafetensors,
    /// The header describes another file.
    #[error("The file is cut off or damaged. Download it again.")]
    Damaged,
    /// The header is beyond all measure.
    #[error("The file's header has {0} bytes, which is more than any model needs.")]
    HeaderTooLong(u64),
}

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// What it is for.
    pub found: Found,
    /// What its trainer wrote down.
    pub training: Training,
}

/// How many bytes from the file's beginning a header needs, by its first [`LENGTH`] bytes, of a file of this size.
pub fn header_end(first: &[u8], size: u64) -> Result<u64, Refused> {
    // A zip (newer pickles), an older pickle, GGUF.
    match first {
        [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => return Err(Refused::Pickle),
        [b'G', b'G', b'U', b'F', ..] => return Err(Refused::Gguf),
        _ => {}
    }
    let length: [u8; LENGTH] = first
        .get(..LENGTH)
        .and_then(|it| it.try_into().ok())
        .ok_or(Refused::NotSafetensors)?;
    let end = u64::from_le_bytes(length).saturating_add(LENGTH as u64);
    if end > size {
        // Text read as a number is beyond all sizes; a header that is cut off is only beyond this one.
        return Err(if end > 1 << 40 {
            Refused::NotSafetensors
        } else {
            Refused::Damaged
        });
    }
    if end - LENGTH as u64 > MAX_HEADER {
        return Err(Refused::HeaderTooLong(end - LENGTH as u64));
    }
    Ok(end)
}

/// Looks at a header without its length, of a file of this size in bytes.
pub fn inspect(header: &[u8], size: u64) -> Result<Inspected, Refused> {
    if !header.trim_ascii_start().starts_with(b"{") {
        return Err(Refused::NotSafetensors);
    }
    // Checked by it: each tensor has as many bytes as its shape says, and they follow each other without a gap.
    let header_of: Metadata = serde_json::from_slice(header).map_err(|_| Refused::Damaged)?;
    let data = size.checked_sub((LENGTH + header.len()) as u64);
    let tensors = header_of.tensors();
    let last = tensors.values().map(|it| it.data_offsets.1 as u64).max().unwrap_or(0);
    if data != Some(last) {
        return Err(Refused::Damaged);
    }
    let shapes: BTreeMap<&str, &[usize]> = tensors
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor.shape.as_slice()))
        .collect();
    Ok(Inspected {
        found: kind::find(&shapes),
        training: training::read(header_of.metadata().as_ref()),
    })
}
