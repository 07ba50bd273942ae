//! A request's pictures: got, checked before anything decodes them, and made into plain PNGs for ComfyUI.

use std::io::Cursor;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use image::{
    DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};
use model::worker_api::InputBlob;
use workflow::Input;

/// The longest side of a picture.
const MAX_SIDE: u32 = 16_384;
/// The most pixels of a picture.
const MAX_PIXELS: u64 = 64 * 1024 * 1024;
/// The largest blob, whatever the request says.
const MAX_BLOB: u64 = 512 * 1024 * 1024;

/// The pictures are not what the request said, so it cannot be painted as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadInput {
    #[error("The request names input pictures, but none came with it.")]
    Missing,
    #[error("The uploaded pictures are too large.")]
    TooLarge,
    #[error("The uploaded pictures are not complete.")]
    Incomplete,
    #[error("The uploaded pictures were changed after the request was sent.")]
    Changed,
    #[error("The uploaded pictures are no longer there.")]
    Gone,
    #[error("Input picture {0} is missing.")]
    NoSuchPicture(usize),
    #[error("Input picture {0} is neither PNG nor JPEG nor WebP, or it is damaged.")]
    Unreadable(usize),
    #[error("Input picture {number} has {width}x{height} pixels, which is too large.")]
    TooManyPixels { number: usize, width: u32, height: u32 },
    #[error("Input picture {number} has {width}x{height} pixels, but {wanted_width}x{wanted_height} were announced.")]
    Size {
        number: usize,
        width: u32,
        height: u32,
        wanted_width: u32,
        wanted_height: u32,
    },
}

/// How many bytes there may be.
pub(crate) fn limit(blob: &InputBlob) -> Result<u64, BadInput> {
    if blob.size > MAX_BLOB {
        Err(BadInput::TooLarge)
    } else {
        Ok(blob.size)
    }
}

/// The blob's bytes, if they came with the request.
pub(crate) fn inline(blob: &InputBlob) -> Result<Option<Bytes>, BadInput> {
    let Some(text) = &blob.base64 else { return Ok(None) };
    // Four letters stand for three bytes.
    if text.len() as u64 / 4 * 3 > limit(blob)? + 3 {
        return Err(BadInput::Incomplete);
    }
    BASE64_STANDARD
        .decode(text)
        .map(|bytes| Some(bytes.into()))
        .map_err(|_| BadInput::Incomplete)
}

/// Whether an object is the one that was there when the request was sent.
pub(crate) fn check_etag(blob: &InputBlob, found: Option<&str>) -> Result<(), BadInput> {
    let bare = |etag: &str| etag.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    match &blob.etag {
        Some(wanted) if found.map(bare) != Some(bare(wanted)) => Err(BadInput::Changed),
        _ => Ok(()),
    }
}

/// The PNG for each input of a plan, in its order. Takes its time: not for an async thread.
pub(crate) fn pictures(blob: &InputBlob, bytes: &Bytes, inputs: &[Input]) -> Result<Vec<Bytes>, BadInput> {
    if bytes.len() as u64 != blob.size {
        return Err(BadInput::Incomplete);
    }
    inputs
        .iter()
        .map(|input| picture(&cut(blob, bytes, input.image)?, input))
        .collect()
}

fn cut(blob: &InputBlob, bytes: &Bytes, image: usize) -> Result<Bytes, BadInput> {
    let missing = BadInput::NoSuchPicture(image + 1);
    let start = *blob.offsets.get(image).ok_or_else(|| missing.clone())?;
    let end = *blob.offsets.get(image + 1).unwrap_or(&blob.size);
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    match range {
        Some((start, end)) if start < end && end <= bytes.len() => Ok(bytes.slice(start..end)),
        _ => Err(missing),
    }
}

fn picture(bytes: &[u8], input: &Input) -> Result<Bytes, BadInput> {
    let number = input.image + 1;
    let unreadable = || BadInput::Unreadable(number);
    let format = image::guess_format(bytes).map_err(|_| unreadable())?;
    if !matches!(format, ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP) {
        return Err(unreadable());
    }
    let reader = || ImageReader::with_format(Cursor::new(bytes), format);
    let (width, height) = reader().into_dimensions().map_err(|_| unreadable())?;
    if width > MAX_SIDE || height > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(BadInput::TooManyPixels { number, width, height });
    }
    if (width, height) != (input.width, input.height) {
        let (wanted_width, wanted_height) = (input.width, input.height);
        return Err(BadInput::Size {
            number,
            width,
            height,
            wanted_width,
            wanted_height,
        });
    }
    let mut reader = reader();
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(width), Some(height));
    // Sixteen bits for each of four channels, and as much again for the decoder.
    limits.max_alloc = Some(u64::from(width) * u64::from(height) * 16 + (16 << 20));
    reader.limits(limits);
    let flat = flatten(reader.decode().map_err(|_| unreadable())?, input.flatten.0);
    let mut png = Vec::new();
    // The file lives for a second on this host: fast beats small.
    PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Sub)
        .write_image(&flat, width, height, ExtendedColorType::Rgb8)
        .map_err(|_| unreadable())?;
    Ok(png.into())
}

/// The picture over a plain colour; ComfyUI would show whatever colour lies hidden under transparency.
fn flatten(picture: DynamicImage, under: [u8; 3]) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let picture = picture.into_rgba8();
    let mut flat = RgbImage::new(picture.width(), picture.height());
    for (to, from) in flat.pixels_mut().zip(picture.pixels()) {
        let [red, green, blue, alpha] = from.0;
        let over = |above: u8, below: u8| {
            let alpha = u32::from(alpha);
            ((u32::from(above) * alpha + u32::from(below) * (255 - alpha) + 127) / 255) as u8
        };
        *to = Rgb([over(red, under[0]), over(green, under[1]), over(blue, under[2])]);
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgba, RgbaImage};
    use workflow::Colour;

    fn png(width: u32, height: u32, pixel: [u8; 4]) -> Vec<u8> {
        let mut bytes = Vec::new();
        RgbaImage::from_pixel(width, height, Rgba(pixel))
            .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
            .unwrap();
        bytes
    }

    fn input(image: usize, width: u32, height: u32) -> Input {
        Input {
            name: "in.png".into(),
            image,
            width,
            height,
            flatten: Colour([0, 0, 255]),
        }
    }

    fn blob(pictures: &[Vec<u8>]) -> (InputBlob, Bytes) {
        let mut offsets = vec![];
        let mut bytes = vec![];
        for picture in pictures {
            offsets.push(bytes.len() as u64);
            bytes.extend_from_slice(picture);
        }
        (
            InputBlob {
                base64: None,
                key: None,
                etag: None,
                offsets,
                size: bytes.len() as u64,
            },
            bytes.into(),
        )
    }

    #[test]
    fn transparency_shows_the_colour_below() {
        let (blob, bytes) = blob(&[png(4, 4, [255, 255, 255, 255]), png(8, 4, [255, 0, 0, 128])]);
        let made = pictures(&blob, &bytes, &[input(1, 8, 4), input(0, 4, 4)]).unwrap();
        let pixel = |png: &[u8]| image::load_from_memory(png).unwrap().into_rgb8().get_pixel(0, 0).0;
        assert_eq!(pixel(&made[0]), [128, 0, 127]);
        assert_eq!(pixel(&made[1]), [255, 255, 255]);
    }

    #[test]
    fn what_does_not_fit_is_said_plainly() {
        let (blob, bytes) = blob(&[png(4, 4, [0; 4]), b"no picture at all".to_vec()]);
        let refused = |input: Input| pictures(&blob, &bytes, &[input]).unwrap_err();
        assert_eq!(
            refused(input(0, 8, 8)).to_string(),
            "Input picture 1 has 4x4 pixels, but 8x8 were announced."
        );
        assert_eq!(refused(input(1, 4, 4)), BadInput::Unreadable(2));
        assert_eq!(refused(input(2, 4, 4)), BadInput::NoSuchPicture(3));
        let short = bytes.slice(..bytes.len() - 1);
        assert_eq!(pictures(&blob, &short, &[]).unwrap_err(), BadInput::Incomplete);
    }

    #[test]
    fn a_bomb_is_refused_by_its_header() {
        let mut bomb = png(4, 4, [0; 4]);
        bomb[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        // The header's checksum is part of what makes it readable.
        let refused = picture(&bomb, &input(0, 65_536, 65_536)).unwrap_err();
        assert!(
            matches!(refused, BadInput::Unreadable(1) | BadInput::TooManyPixels { .. }),
            "{refused}"
        );
    }

    #[test]
    fn etags_are_compared_without_their_quotes() {
        let (mut blob, _) = blob(&[]);
        assert_eq!(check_etag(&blob, None), Ok(()));
        blob.etag = Some("abc".into());
        assert_eq!(check_etag(&blob, Some("\"abc\"")), Ok(()));
        assert_eq!(check_etag(&blob, Some("\"abd\"")), Err(BadInput::Changed));
        assert_eq!(check_etag(&blob, None), Err(BadInput::Changed));
    }
}
