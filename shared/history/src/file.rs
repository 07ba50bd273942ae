//! JSON Lines, gzip.

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};

use crate::HistoryError;

/// Most bytes of a file that is unpacked: far more than any has that was written here.
const MOST: u64 = 256 << 20;

/// The lines as a file. The same lines give the same bytes.
pub fn packed<'a>(lines: impl IntoIterator<Item = &'a str>) -> Bytes {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    for line in lines {
        // Writing to memory cannot fail.
        let _ = gzip.write_all(line.as_bytes()).and_then(|()| gzip.write_all(b"\n"));
    }
    gzip.finish().unwrap_or_default().into()
}

/// The lines of the file with this key.
pub fn lines(key: &str, bytes: &[u8]) -> Result<Vec<String>, HistoryError> {
    let mut text = String::new();
    let read = GzDecoder::new(bytes).take(MOST + 1).read_to_string(&mut text);
    let whole = read.and_then(|read| {
        let fits = read as u64 <= MOST;
        fits.then_some(()).ok_or_else(|| io::Error::other("it is too large"))
    });
    whole.map_err(|source| HistoryError::Damaged {
        key: key.to_owned(),
        source,
    })?;
    Ok(text
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_is_read_back(texts in prop::collection::vec("[^\r\n]{1,40}", 0..20)) {
            let file = packed(texts.iter().map(String::as_str));
            prop_assert_eq!(lines("k", &file).unwrap(), texts);
        }

        #[test]
        fn what_is_damaged_is_an_error_or_other_lines(at in 0_usize..60, bit in 0_u8..8) {
            let mut file = packed(["{\"task_id\":\"a\"}", "{\"task_id\":\"b\"}"]).to_vec();
            let at = at % file.len();
            file[at] ^= 1 << bit;
            let _ = lines("k", &file);
            let cut = &file[..at];
            prop_assert!(lines("k", cut).is_err(), "a file that is cut is never taken for a whole one");
        }
    }
}
