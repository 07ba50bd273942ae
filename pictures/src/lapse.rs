//! A time-lapse: small pictures one after the other.

use image::{ImageFormat, Limits, RgbImage, imageops};
use png::{BitDepth, ColorType, Encoder, EncodingError};

use crate::{Filter, read, scale};

/// Sides that are tried, the best first.
const SIDES: [u32; 4] = [256, 192, 128, 96];
/// Longest side of a small picture: a larger one is none.
const LARGEST: u32 = 2048;
/// What is beside a picture that is not square.
const BESIDE: image::Rgb<u8> = image::Rgb([118, 118, 118]);
/// How long a frame is shown: so many hundredths of a second, and the last one.
const SHOWN: (u16, u16) = (50, 250);

/// The pictures, WebP files, as an animated PNG of at most so many bytes, each shown for half a second, for ever. It becomes
/// smaller, and then has fewer frames, until it fits. What cannot be read is left out; none if nothing is left.
pub fn lapse(files: &[&Vec<u8>], most: usize) -> Option<Vec<u8>> {
    let mut frames: Vec<_> = files.iter().filter_map(|file| decode(file)).collect();
    while !frames.is_empty() {
        for side in SIDES {
            // A frame from the middle says what all of them come to.
            let sample = frames.get(frames.len() / 2)?;
            let one = animated(&[square(sample, side)], side).ok()?.len();
            if one.saturating_mul(frames.len()) > most.saturating_mul(2) {
                continue;
            }
            let squares: Vec<_> = frames.iter().map(|frame| square(frame, side)).collect();
            let made = animated(&squares, side).ok()?;
            if made.len() <= most {
                return Some(made);
            }
        }
        if frames.len() == 1 {
            return None;
        }
        let mut place = 0;
        frames.retain(|_| {
            place += 1;
            place % 2 == 1
        });
    }
    None
}

fn decode(file: &[u8]) -> Option<RgbImage> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST);
    limits.max_image_height = Some(LARGEST);
    limits.max_alloc = Some(64 << 20);
    let picture = read(file, ImageFormat::WebP, limits).ok()?.into_rgb8();
    // Nothing larger is kept for long.
    let (width, height) = fitting(picture.dimensions(), SIDES[0]);
    Some(scale(&picture, width, height, Filter::Lanczos))
}

/// The size that fits into a square; never a larger one.
fn fitting((width, height): (u32, u32), side: u32) -> (u32, u32) {
    let longest = width.max(height).max(1);
    if longest <= side {
        return (width.max(1), height.max(1));
    }
    let fit = |it: u32| (u64::from(it) * u64::from(side) / u64::from(longest)).max(1) as u32;
    (fit(width), fit(height))
}

fn square(picture: &RgbImage, side: u32) -> RgbImage {
    let (width, height) = fitting(picture.dimensions(), side);
    let small = scale(picture, width, height, Filter::Lanczos);
    let mut square = RgbImage::from_pixel(side, side, BESIDE);
    let (left, top) = ((side - width) / 2, (side - height) / 2);
    imageops::replace(&mut square, &small, left.into(), top.into());
    square
}

fn animated(frames: &[RgbImage], side: u32) -> Result<Vec<u8>, EncodingError> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, side, side);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_animated(frames.len() as u32, 0)?;
    encoder.set_frame_delay(SHOWN.0, 100)?;
    let mut writer = encoder.write_header()?;
    for (frame, left) in frames.iter().zip((0..frames.len()).rev()) {
        if left == 0 {
            writer.set_frame_delay(SHOWN.1, 100)?;
        }
        writer.write_image_data(frame.as_raw())?;
    }
    writer.finish()?;
    Ok(file)
}
