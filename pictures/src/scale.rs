//! Other sizes.

use crate::rows;
use image::{GrayImage, RgbImage, imageops};

/// How colours are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Sharp and smooth, for what people look at.
    Lanczos,
    /// Only colours that were there, for thin lines.
    Nearest,
}

/// The picture in another size.
pub fn scale(picture: &RgbImage, width: u32, height: u32, filter: Filter) -> RgbImage {
    if picture.dimensions() == (width, height) {
        return picture.clone();
    }
    let filter = match filter {
        Filter::Lanczos => imageops::FilterType::Lanczos3,
        Filter::Nearest => imageops::FilterType::Nearest,
    };
    imageops::resize(picture, width, height, filter)
}

/// A neighbour before, one after, and the share of the latter in 256ths.
type Between = (usize, usize, u32);

/// The mask in another size, bilinear between the middles of pixels, as ComfyUI does it.
pub fn scale_mask(mask: &GrayImage, width: u32, height: u32) -> GrayImage {
    let mut scaled = GrayImage::new(width, height);
    if mask.dimensions() == (width, height) || mask.is_empty() {
        scaled.iter_mut().zip(mask.iter()).for_each(|(to, from)| *to = *from);
        return scaled;
    }
    let columns = places(mask.width(), width);
    let lines = places(mask.height(), height);
    let (length, mask) = (mask.width() as usize, mask.as_raw());
    rows::each(&mut scaled, width as usize, |y, row| {
        let (above, below, share) = lines[y];
        let (above, below) = (&mask[above * length..][..length], &mask[below * length..][..length]);
        for (value, (left, right, part)) in row.iter_mut().zip(&columns) {
            let along = |line: &[u8]| u32::from(line[*left]) * (256 - part) + u32::from(line[*right]) * part;
            *value = ((along(above) * (256 - share) + along(below) * share + (1 << 15)) >> 16) as u8;
        }
    });
    scaled
}

fn places(from: u32, to: u32) -> Vec<Between> {
    let last = from as usize - 1;
    (0..to)
        .map(|place| {
            let middle = (f64::from(place) + 0.5) * f64::from(from) / f64::from(to) - 0.5;
            let middle = middle.max(0.0);
            let before = (middle as usize).min(last);
            let share = ((middle - before as f64) * 256.0).round() as u32;
            (before, (before + 1).min(last), share.min(256))
        })
        .collect()
}
