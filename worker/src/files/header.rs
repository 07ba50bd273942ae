//! The header of a safetensors file: names and shapes of its tensors, without their data.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The largest header read. Those of checkpoints have some hundred KB; the format allows 100 MB.
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

/// One tensor, as the header describes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Tensor {
    dtype: String,
    pub(crate) shape: Vec<u64>,
    /// Where its data begin and end, from [`Header::data`] on.
    data_offsets: [u64; 2],
}

/// What a file says of itself.
#[derive(Debug)]
pub(crate) struct Header {
    /// By name. Each lies inside the file and has as many bytes as its shape says.
    pub(crate) tensors: BTreeMap<String, Tensor>,
    /// Where the data begin in the file.
    pub(crate) data: u64,
    metadata: Option<Value>,
}

impl Header {
    /// The header as a file begins with it, its length included, with these tensors of the same data.
    pub(crate) fn with(&self, tensors: &BTreeMap<String, Tensor>) -> serde_json::Result<Vec<u8>> {
        let mut entries: BTreeMap<&str, Value> = BTreeMap::new();
        for (name, tensor) in tensors {
            entries.insert(name, serde_json::to_value(tensor)?);
        }
        entries.extend(self.metadata.as_ref().map(|metadata| (METADATA, metadata.clone())));
        let mut header = serde_json::to_vec(&entries)?;
        // Data that begin at a multiple of eight are read faster.
        header.resize(header.len().next_multiple_of(8), b' ');
        Ok([&(header.len() as u64).to_le_bytes(), header.as_slice()].concat())
    }
}

/// Reads the header alone.
pub(crate) fn read(path: &Path) -> Result<Header, HeaderError> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    begin(file, size)
}

/// The same of a file of this size, in bytes.
pub(crate) fn begin(mut file: impl Read, size: u64) -> Result<Header, HeaderError> {
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

fn parse(header: &[u8], data: u64) -> Result<Header, HeaderError> {
    let mut entries: BTreeMap<String, Value> =
        serde_json::from_slice(header).map_err(|_| HeaderError::NotSafetensors)?;
    let metadata = entries.remove(METADATA);
    let checked = entries.into_iter().map(|(name, entry)| {
        let tensor: Tensor = serde_json::from_value(entry).map_err(|_| HeaderError::NotSafetensors)?;
        let [begin, end] = tensor.data_offsets;
        let elements = tensor.shape.iter().try_fold(1_u64, |all, side| all.checked_mul(*side));
        let bytes = |bits: u64| Some(elements?.checked_mul(bits)?.div_ceil(8));
        // A type that is new to us may have any size.
        let fits = bits(&tensor.dtype).is_none_or(|bits| bytes(bits) == end.checked_sub(begin));
        if begin > end || end > data || !fits {
            return Err(HeaderError::Damaged);
        }
        Ok((name, tensor))
    });
    Ok(Header {
        tensors: checked.collect::<Result<_, _>>()?,
        data: 8 + header.len() as u64,
        metadata,
    })
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

    fn parsed(header: &Value, data: u64) -> Result<Header, HeaderError> {
        parse(header.to_string().as_bytes(), data)
    }

    #[test]
    fn names_and_shapes_are_read() {
        let header = json!({
            METADATA: { "ss_network_dim": "8" }, "a": tensor("F16", &[2, 3], [0, 12]), "b": tensor("F32", &[], [12, 16]),
            "new": tensor("F4", &[3], [16, 18]),
        });
        let header = parsed(&header, 18).unwrap();
        assert_eq!(header.tensors["a"].shape, [2, 3]);
        assert!(header.tensors["b"].shape.is_empty() && header.tensors.len() == 3);
        // Written again, it says the same.
        let written = header.with(&header.tensors).unwrap();
        let length = u64::from_le_bytes(written[..8].try_into().unwrap());
        assert_eq!((8 + length) as usize, written.len());
        let again = parse(&written[8..], 18).unwrap();
        assert_eq!((again.data, again.data % 8), (written.len() as u64, 0));
        assert_eq!(again.with(&again.tensors).unwrap(), written);
        assert!(written.windows(14).any(|bytes| bytes == b"ss_network_dim"));
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
