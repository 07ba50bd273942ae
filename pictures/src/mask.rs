//! Masks of selections and regions.

use crate::{
    Mismatch,
    blur::{convolve, gaussian, triangle},
    spread::{dilate, erode},
};
use image::{GrayImage, RgbImage};

/// What lossy compression makes of black, and of white.
const NOISE: u8 = 13;
const ALMOST_WHITE: u8 = 242;
/// Less than that is not "exactly 1" to DifferentialDiffusion: 0.99 of 255.
pub(crate) const FULL: u8 = 253;

/// A mask as sent, of which red is what counts: without the traces that lossy compression leaves beside edges.
pub fn clean(sent: &RgbImage) -> GrayImage {
    let mut mask = GrayImage::new(sent.width(), sent.height());
    for (value, pixel) in mask.iter_mut().zip(sent.pixels()) {
        *value = match pixel.0[0] {
            0..NOISE => 0,
            red if red > ALMOST_WHITE => u8::MAX,
            red => red,
        };
    }
    mask
}

/// Whatever is selected at all, grown by a square, then with a soft rim: a separable triangular blur.
pub fn expand(mask: &GrayImage, grow: u32, feather: u32) -> GrayImage {
    let mut grown = mask.clone();
    if grow > 0 {
        select_all(&mut grown);
        dilate(&mut grown, grow);
    }
    if feather > 0 { triangle(&grown, feather) } else { grown }
}

/// What is nearly selected is selected, since only there the diffusion has its full strength.
pub fn stable(mask: &GrayImage) -> GrayImage {
    let mut mask = mask.clone();
    mask.iter_mut()
        .filter(|value| **value >= FULL)
        .for_each(|value| *value = u8::MAX);
    mask
}

/// The alpha of a result: whatever is selected at all, made smaller by half of `blend`, then blurred by `blend`.
pub fn composite(mask: &GrayImage, blend: u32) -> GrayImage {
    let mut whole = mask.clone();
    select_all(&mut whole);
    if blend == 0 || whole.is_empty() {
        return whole;
    }
    erode(&mut whole, blend / 2);
    let width = blend | 1;
    let kernel = gaussian(width, 0.3 * (width - 1) as f32 + 0.8);
    let blurred = convolve(&whole, mask.width() as usize, 1, &kernel);
    whole.copy_from_slice(&blurred);
    whole
}

/// What these masks leave over: the area of the background.
pub fn remainder(mask: &GrayImage, others: &[&GrayImage]) -> Result<GrayImage, Mismatch> {
    let mut rest = mask.clone();
    for other in others {
        Mismatch::check(other.dimensions(), mask.dimensions())?;
        rest.iter_mut()
            .zip(other.iter())
            .for_each(|(sum, value)| *sum = sum.saturating_add(*value));
    }
    rest.iter_mut().for_each(|value| *value = !*value);
    Ok(rest)
}

fn select_all(mask: &mut GrayImage) {
    mask.iter_mut()
        .filter(|value| **value > 0)
        .for_each(|value| *value = u8::MAX);
}
