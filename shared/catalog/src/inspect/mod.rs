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
/// The longest header that is read, bytes. Those of checkpoints have some hundred KB; the format allows 100 MB, which would
/// take gigabytes to look at.
pub const MAX_HEADER: u64 = 8 << 20;
/// How deep a header is: the file, a tensor, its shape.
const DEPTH: usize = 3;

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
    let length: [u8; LENGTH] = first
        .get(..LENGTH)
        .and_then(|it| it.try_into().ok())
        .ok_or(Refused::NotSafetensors)?;
    let end = u64::from_le_bytes(length).saturating_add(LENGTH as u64);
    // Some good headers' lengths look like the first bytes of something else.
    if end > size || end - LENGTH as u64 > MAX_HEADER {
        // A zip (newer pickles), an older pickle, GGUF.
        match first {
            [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => return Err(Refused::Pickle),
            [b'G', b'G', b'U', b'F', ..] => return Err(Refused::Gguf),
            _ => {}
        }
    }
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

/// How deep JSON goes, as far as it is JSON. What is deep takes much more room in memory than in the file.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'{' | b'[') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Looks at a header without its length, of a file of this size in bytes.
pub fn inspect(header: &[u8], size: u64) -> Result<Inspected, Refused> {
    if !header.trim_ascii_start().starts_with(b"{") {
        return Err(Refused::NotSafetensors);
    }
    if depth(header) > DEPTH {
        return Err(Refused::Damaged);
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    fn header(tensors: usize, pad: usize) -> Vec<u8> {
        let mut all = Map::new();
        for number in 0..tensors {
            let tensor = json!({ "dtype": "F16", "shape": [1], "data_offsets": [2 * number, 2 * number + 2] });
            all.insert(format!("layer.{number}.weight"), tensor);
        }
        let mut text = serde_json::to_vec(&all).unwrap();
        text.resize(text.len().max(pad), b' ');
        text
    }

    /// 640, 896, 1152 and 1408 as numbers begin as a pickle does.
    #[test]
    fn a_length_that_looks_like_a_pickle_is_a_length() {
        for length in [640, 896, 1152, 1408, 65_536 + 640] {
            let header = header(2, length);
            let size = (LENGTH + length + 4) as u64;
            assert_eq!(
                header_end(&(length as u64).to_le_bytes(), size),
                Ok((LENGTH + length) as u64)
            );
            assert!(inspect(&header, size).is_ok(), "{length}");
        }
        assert_eq!(header_end(b"\x80\x02}q\x00(X\x05", 500_000), Err(Refused::Pickle));
    }

    #[test]
    fn tensors_by_the_hundred_thousand_are_more_than_any_model_has() {
        let header = header(160_000, 0);
        let end = header_end(&(header.len() as u64).to_le_bytes(), 1 << 40);
        assert_eq!(end, Err(Refused::HeaderTooLong(header.len() as u64)));
        // What is just allowed is looked at, whatever it is.
        let header = super::tests::header(80_000, 0);
        assert!((header.len() as u64) < MAX_HEADER);
        assert!(inspect(&header, (LENGTH + header.len() + 160_000) as u64).is_ok());
    }

    #[test]
    fn braces_in_names_are_no_depth() {
        assert_eq!(depth(br#"{"a\"[[[[":{"shape":[1]}}"#), 3);
        assert_eq!(depth(b"]]]]"), 0);
    }

    #[test]
    fn fuzz_headers() {
        let corpus = [header(3, 0), header(40, 0), header(1, 700)];
        let make = |chance: &mut fuzz::Chance| {
            let bytes = chance.bytes(&corpus);
            bytes.iter().copied().take(64 << 10).collect::<Vec<u8>>()
        };
        let taken = |bytes: &Vec<u8>| {
            let size = (bytes.len() + LENGTH + 80) as u64;
            let first: Vec<u8> = bytes.iter().copied().take(LENGTH).collect();
            let _ = header_end(&first, size);
            match inspect(bytes, size) {
                Ok(_) => true,
                Err(why) => {
                    let words = why.to_string();
                    assert!(words.ends_with('.') && words.len() < 200, "{words}");
                    false
                }
            }
        };
        fuzz::run(2000, make, taken);
    }
}
