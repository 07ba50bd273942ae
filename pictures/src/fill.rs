//! What a selection holds before the diffusion.

use crate::{
    Mismatch,
    blur::{convolve, gaussian},
    border::continue_inwards,
    mask::FULL,
    rows,
    spread::erode,
};
use image::{GrayImage, RgbImage};

/// 0.5 of 255.
const GRAY: [u8; 3] = [128; 3];
const GREEN: [u8; 3] = [0, 255, 0];
/// The blur of fills, 65 wide with a deviation of 20 pixels, in pixels of a quarter of the size: finer structure does not
/// survive it.
const BLUR: (u32, f32) = (17, 5.0);
const QUARTER: u32 = 4;
/// Width of the soft rim within the selection, in pixels.
const RIM: u32 = 9;

/// How to fill a selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Middle gray with a soft rim.
    Neutral,
    /// Middle gray with a hard edge.
    Replace,
    /// The picture itself, much blurred, with a soft rim.
    Blur,
    /// The colours around, continued inwards.
    Border,
    /// Pure green with a hard edge.
    Green,
}

/// The picture with its selection filled. Selected is what the mask has at 0.99 and above.
pub fn fill(picture: &RgbImage, mask: &GrayImage, how: Fill) -> Result<RgbImage, Mismatch> {
    Mismatch::check(mask.dimensions(), picture.dimensions())?;
    let mut selected = mask.clone();
    selected
        .iter_mut()
        .for_each(|value| *value = if *value >= FULL { u8::MAX } else { 0 });
    let mut filled = picture.clone();
    if selected.iter().all(|value| *value == 0) {
        return Ok(filled);
    }
    match how {
        Fill::Replace => plain(&mut filled, GRAY, &selected),
        Fill::Green => plain(&mut filled, GREEN, &selected),
        Fill::Neutral => plain(&mut filled, GRAY, &soft(&selected)),
        Fill::Blur => {
            blur_in(&mut filled, &soft(&selected));
        }
        Fill::Border => {
            filled = continue_inwards(picture, &selected);
            blur_in(&mut filled, &soft(&selected));
        }
    }
    Ok(filled)
}

/// Blurs the picture as far as the mask says.
fn blur_in(picture: &mut RgbImage, mask: &GrayImage) {
    let small = quarter(picture);
    let columns = small.width() as usize;
    let blurred = convolve(&small, columns, 3, &gaussian(BLUR.0, BLUR.1));
    // Between the middles of four small pixels, in eighths.
    let between = |at: usize, length: u32| {
        let place = (2 * at + 1).saturating_sub(QUARTER as usize);
        let (before, last) = (place / 8, length as usize - 1);
        (before.min(last), (before + 1).min(last), (place % 8) as u32)
    };
    let width = picture.width() as usize;
    let height = small.height();
    rows::each(picture, width * 3, |y, row| {
        let (above, below, down) = between(y, height);
        let shares = &mask.as_raw()[y * width..][..width];
        for (x, (pixel, share)) in row.chunks_exact_mut(3).zip(shares).enumerate() {
            if *share == 0 {
                continue;
            }
            let (left, right, across) = between(x, columns as u32);
            for (channel, value) in pixel.iter_mut().enumerate() {
                let at = |x: usize, y: usize| u32::from(blurred[(y * columns + x) * 3 + channel]);
                let along = |y: usize| at(left, y) * (8 - across) + at(right, y) * across;
                let smooth = (along(above) * (8 - down) + along(below) * down + 32) / 64;
                *value = mixed(*value, smooth as u8, *share);
            }
        }
    });
}

/// The mean of each four by four pixels.
fn quarter(picture: &RgbImage) -> RgbImage {
    let mut small = RgbImage::new(picture.width().div_ceil(QUARTER), picture.height().div_ceil(QUARTER));
    let (columns, length, side) = (
        small.width() as usize * 3,
        picture.width() as usize * 3,
        QUARTER as usize,
    );
    let source = picture.as_raw();
    rows::bands(&mut small, columns, |top, band| {
        let mut line = vec![0_u32; length];
        for (row, lines) in band
            .chunks_exact_mut(columns)
            .zip(source[top * side * length..].chunks(side * length))
        {
            line.fill(0);
            for from in lines.chunks_exact(length) {
                line.iter_mut()
                    .zip(from)
                    .for_each(|(sum, value)| *sum += u32::from(*value));
            }
            let height = (lines.len() / length) as u32;
            for (pixel, from) in row.chunks_exact_mut(3).zip(line.chunks(side * 3)) {
                let count = height * (from.len() / 3) as u32;
                for (channel, value) in pixel.iter_mut().enumerate() {
                    let sum: u32 = from.iter().skip(channel).step_by(3).sum();
                    *value = ((sum + count / 2) / count) as u8;
                }
            }
        }
    });
    small
}

/// Rising from nothing at the edge to all within [`RIM`] pixels; never outside of the selection.
fn soft(selected: &GrayImage) -> GrayImage {
    let mut inner = selected.clone();
    erode(&mut inner, RIM / 2);
    crate::blur::triangle(&inner, RIM)
}

fn plain(filled: &mut RgbImage, colour: [u8; 3], mask: &GrayImage) {
    for (pixel, share) in filled.pixels_mut().zip(mask.iter()) {
        for (value, wanted) in pixel.0.iter_mut().zip(colour) {
            *value = mixed(*value, wanted, *share);
        }
    }
}

fn mixed(from: u8, to: u8, share: u8) -> u8 {
    let share = u32::from(share);
    ((u32::from(from) * (255 - share) + u32::from(to) * share + 127) / 255) as u8
}
