//! The text chunk in which ComfyUI keeps the graph inside a PNG.

/// Bytes of the signature and the IHDR chunk, which come first in every PNG.
const HEADER: usize = 8 + 25;

/// The PNG with the graph in a `prompt` text chunk, if one is given.
pub(crate) fn with_prompt(png: Vec<u8>, prompt: Option<&str>) -> Vec<u8> {
    let Some(prompt) = prompt.filter(|_| png.len() > HEADER) else {
        return png;
    };
    let mut chunk = b"tEXtprompt\0".to_vec();
    // The chunk is Latin-1; JSON can name all else by escapes.
    for unit in prompt.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => chunk.push(byte),
            _ => chunk.extend(format!("\\u{unit:04x}").bytes()),
        }
    }
    let mut result = png[..HEADER].to_vec();
    result.extend((chunk.len() as u32 - 4).to_be_bytes());
    result.extend(&chunk);
    result.extend(crc32(&chunk).to_be_bytes());
    result.extend(&png[HEADER..]);
    result
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixels::picture::Picture;

    #[test]
    fn the_checksum_is_that_of_png() {
        // The IEND chunk's is well known.
        assert_eq!(crc32(b"IEND"), 0xAE42_6082);
    }

    #[test]
    fn a_png_with_a_prompt_still_reads() {
        let picture = Picture::plain(4, 4, [1, 2, 3]);
        let tagged = with_prompt(picture.png(), Some(r#"{"text":"Füchse"}"#));
        assert!(tagged.windows(6).any(|part| part == b"\\u00fc"));
        assert_eq!(Picture::decode(&tagged).unwrap(), picture);
        assert_eq!(with_prompt(picture.png(), None), picture.png());
    }
}
