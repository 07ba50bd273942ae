//! The finished pictures as one blob: checked, freed of metadata, put one after the other. No pixel is decoded here.

use std::io::Cursor;

use bytes::{BufMut, Bytes, BytesMut};
use image::{ImageFormat, ImageReader};
use workflow::Output;

use super::picture::Misfit;

const SIGNATURE: &[u8; 8] = b"\x89PNG\r\n\x1a\n";
/// ComfyUI writes the whole graph, prompts included, into its files.
const METADATA: [&[u8; 4]; 5] = [b"tEXt", b"iTXt", b"zTXt", b"eXIf", b"tIME"];

/// ComfyUI made something else than was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadOutput {
    #[error("the renderer made {found} pictures instead of {wanted}")]
    Count { found: usize, wanted: u32 },
    #[error("the renderer made a picture of {0}x{1} pixels instead of {2}x{3}")]
    Size(u32, u32, u32, u32),
    #[error("the renderer made a damaged picture")]
    Damaged,
    #[error("the pictures cannot be finished")]
    Unfinished(#[from] Misfit),
}

/// Pictures in one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResultBlob {
    pub(crate) bytes: Bytes,
    /// Start byte of each picture.
    pub(crate) offsets: Vec<u64>,
}

impl ResultBlob {
    /// Checks and joins the pictures.
    pub(crate) fn new(pictures: &[Bytes], wanted: Output) -> Result<Self, BadOutput> {
        check_count(pictures.len(), wanted)?;
        let mut bytes = BytesMut::with_capacity(pictures.iter().map(Bytes::len).sum());
        let mut offsets = Vec::with_capacity(pictures.len());
        for picture in pictures {
            offsets.push(bytes.len() as u64);
            let (width, height) = if picture.starts_with(SIGNATURE) {
                append(picture, &mut bytes)?
            } else {
                append_webp(picture, &mut bytes)?
            };
            if (width, height) != (wanted.width, wanted.height) {
                return Err(BadOutput::Size(width, height, wanted.width, wanted.height));
            }
        }
        Ok(Self {
            bytes: bytes.freeze(),
            offsets,
        })
    }
}

/// Whether there are as many pictures as were asked for.
pub(crate) fn check_count(found: usize, wanted: Output) -> Result<(), BadOutput> {
    if found == wanted.count as usize {
        Ok(())
    } else {
        Err(BadOutput::Count {
            found,
            wanted: wanted.count,
        })
    }
}

/// Appends a PNG without its metadata; gives its width and height.
fn append(png: &[u8], to: &mut BytesMut) -> Result<(u32, u32), BadOutput> {
    let mut rest = png.strip_prefix(SIGNATURE).ok_or(BadOutput::Damaged)?;
    to.put_slice(SIGNATURE);
    let mut size = None;
    loop {
        let (length, tail) = rest.split_first_chunk::<4>().ok_or(BadOutput::Damaged)?;
        let (kind, tail) = tail.split_first_chunk::<4>().ok_or(BadOutput::Damaged)?;
        let length = u32::from_be_bytes(*length) as usize;
        // Each chunk ends with a checksum of four bytes.
        let data = tail.get(..length).ok_or(BadOutput::Damaged)?;
        let whole = rest.get(..length + 12).ok_or(BadOutput::Damaged)?;
        if size.is_none() {
            size = Some(header(*kind, data).ok_or(BadOutput::Damaged)?);
        }
        if !METADATA.contains(&kind) {
            to.put_slice(whole);
        }
        if kind == b"IEND" {
            return size.ok_or(BadOutput::Damaged);
        }
        rest = &rest[whole.len()..];
    }
}

/// Width and height. The plugin takes gray pictures for masks, and knows no more than 8 bits.
fn header(kind: [u8; 4], data: &[u8]) -> Option<(u32, u32)> {
    const COLOURS: u8 = 2;
    const WITH_ALPHA: u8 = 6;
    let (width, rest) = data.split_first_chunk()?;
    let (height, rest) = rest.split_first_chunk()?;
    let coloured = matches!(rest, [8, COLOURS | WITH_ALPHA, ..]);
    (&kind == b"IHDR" && coloured).then(|| (u32::from_be_bytes(*width), u32::from_be_bytes(*height)))
}

/// Appends a WebP. It was coded by this worker, without metadata.
fn append_webp(webp: &[u8], to: &mut BytesMut) -> Result<(u32, u32), BadOutput> {
    let reader = ImageReader::with_format(Cursor::new(webp), ImageFormat::WebP);
    let size = reader.into_dimensions().map_err(|_| BadOutput::Damaged)?;
    to.put_slice(webp);
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::RgbImage;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        RgbImage::new(width, height)
            .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
            .unwrap();
        bytes
    }

    fn with_text(png: &[u8]) -> Vec<u8> {
        let mut bytes = png[..33].to_vec(); // signature and header
        bytes.extend_from_slice(&[0, 0, 0, 6]);
        bytes.extend_from_slice(b"tEXtprompt....");
        bytes.extend_from_slice(&png[33..]);
        bytes
    }

    const WANTED: Output = Output {
        count: 2,
        width: 4,
        height: 2,
        webp: false,
    };

    #[test]
    fn metadata_goes_and_pixels_stay() {
        let plain = png(4, 2);
        let blob = ResultBlob::new(&[with_text(&plain).into(), plain.clone().into()], WANTED).unwrap();
        assert_eq!(blob.bytes, [plain.clone(), plain.clone()].concat());
        assert_eq!(blob.offsets, [0, plain.len() as u64]);
    }

    #[test]
    fn other_things_are_refused() {
        let plain = Bytes::from(png(4, 2));
        let refused = |pictures: &[Bytes]| ResultBlob::new(pictures, WANTED).unwrap_err();
        assert_eq!(refused(&[]), BadOutput::Count { found: 0, wanted: 2 });
        assert_eq!(refused(&[plain.clone(), png(2, 2).into()]), BadOutput::Size(2, 2, 4, 2));
        assert_eq!(
            refused(&[plain.clone(), plain.slice(..plain.len() - 1)]),
            BadOutput::Damaged
        );
        assert_eq!(
            refused(&[plain.clone(), Bytes::from_static(b"no PNG")]),
            BadOutput::Damaged
        );
        let mut gray = Vec::new();
        image::GrayImage::new(4, 2)
            .write_to(&mut Cursor::new(&mut gray), ImageFormat::Png)
            .unwrap();
        assert_eq!(refused(&[plain, gray.into()]), BadOutput::Damaged);
    }
}
