//! The header of a safetensors file: names and shapes of its tensors, without their data.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde::Deserialize;
use serde_json::Value;

/// The largest header read. Those of LoRAs have some hundred KB; the format allows 100 MB.
const MAX_HEADER: u64 = 32 * 1024 * 1024;
/// What is not a tensor.
const METADATA: &str = "__metadata__";

/// A file is not what its name says.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("the file cannot be read")]
    Read(#[from] io::Error),
    #[error("the file is no safetensors file")]
    NotSafetensors,
    #[error("the file is cut off or damaged")]
    Damaged,
}

#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// Shapes by name. Each tensor lies inside the file and has as many bytes as its shape says.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<String, Vec<u64>>, HeaderError> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    tensors(file, size)
}

/// The same of a file of this size, in bytes.
pub(super) fn tensors(mut file: impl Read, size: u64) -> Result<BTreeMap<String, Vec<u64>>, HeaderError> {
    let mut length = [0; 8];
    let data = size.checked_sub(8).ok_or(HeaderError::NotSafetensors)?;
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > data.min(MAX_HEADER) {
        return Err(HeaderError::NotSafetensors);
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header)?;
    parse(&header, data - length)
}

fn parse(header: &[u8], data: u64) -> Result<BTreeMap<String, Vec<u64>>, HeaderError> {
    let entries: BTreeMap<String, Value> = serde_json::from_slice(header).map_err(|_| HeaderError::NotSafetensors)?;
    let tensors = entries.into_iter().filter(|(name, _)| name != METADATA);
    let checked = tensors.map(|(name, entry)| {
        let tensor: Tensor = serde_json::from_value(entry).map_err(|_| HeaderError::NotSafetensors)?;
        let [begin, end] = tensor.data_offsets;
        let elements = tensor.shape.iter().try_fold(1_u64, |all, side| all.checked_mul(*side));
        let bytes = |bits: u64| Some(elements?.checked_mul(bits)?.div_ceil(8));
        // A type that is new to us may have any size.
        let fits = bits(&tensor.dtype).is_none_or(|bits| bytes(bits) == end.checked_sub(begin));
        if begin > end || end > data || !fits {
            return Err(HeaderError::Damaged);
        }
        Ok((name, tensor.shape))
    });
    checked.collect()
}

/// Bits of one element.
fn bits(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "BOOL" | "U8" | "I8" | "F8_E4M3" | "F8_E5M2" => 8,
        "U16" | "I16" | "F16" | "BF16" => 16,
        "U32" | "I32" | "F32" => 32,
        "U64" | "I64" | "F64" => 64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tensor(dtype: &str, shape: &[u64], offsets: [u64; 2]) -> Value {
        json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets })
    }

    fn parsed(header: &Value, data: u64) -> Result<BTreeMap<String, Vec<u64>>, HeaderError> {
        parse(header.to_string().as_bytes(), data)
    }

    #[test]
    fn names_and_shapes_are_read() {
        let header = json!({
            METADATA: { "ss_network_dim": "8" }, "a": tensor("F16", &[2, 3], [0, 12]), "b": tensor("F32", &[], [12, 16]),
            "new": tensor("F4", &[3], [16, 18]),
        });
        let tensors = parsed(&header, 18).unwrap();
        assert_eq!(tensors["a"], [2, 3]);
        assert!(tensors["b"].is_empty() && tensors.len() == 3);
    }

    #[test]
    fn what_does_not_fit_the_file_is_damaged() {
        for bad in [
            tensor("F16", &[2, 3], [0, 13]),
            tensor("F16", &[2, 3], [12, 0]),
            tensor("F16", &[2, 3], [90, 102]),
            tensor("F16", &[u64::MAX, 2], [0, 12]),
            tensor("F64", &[1 << 61], [0, 0]),
        ] {
            let read = parsed(&json!({ "a": bad }), 100);
            assert!(matches!(read, Err(HeaderError::Damaged)), "{bad} {read:?}");
        }
    }

    #[test]
    fn other_files_are_told_from_safetensors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let huge = [u64::MAX.to_le_bytes().as_slice(), b"{}"].concat();
        let header = [2_u64.to_le_bytes().as_slice(), b"[]"].concat();
        let pickle = b"PK\x03\x04 and then some more of a zip file".as_slice();
        for bytes in [b"".as_slice(), b"short", &huge, &header, pickle] {
            std::fs::write(&path, bytes).unwrap();
            assert!(matches!(read(&path), Err(HeaderError::NotSafetensors)), "{bytes:?}");
        }
        assert!(matches!(read(&folder.path().join("none")), Err(HeaderError::Read(_))));
    }
}
