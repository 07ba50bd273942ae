//! Cutting, joining, and what is done pixel by pixel.

use crate::Mismatch;
use image::{GenericImageView, GrayImage, ImageBuffer, Pixel, Rgb, RgbImage, Rgba, RgbaImage};

/// More than a half is selected.
const HALF: u8 = 128;

/// The rectangle x, y, width, height of a picture.
pub fn crop<P: Pixel<Subpixel = u8> + 'static>(
    picture: &ImageBuffer<P, Vec<u8>>,
    [x, y, width, height]: [u32; 4],
) -> Result<ImageBuffer<P, Vec<u8>>, Mismatch> {
    let inside = |start: u32, length: u32, whole: u32| start.checked_add(length).is_some_and(|end| end <= whole);
    if inside(x, width, picture.width()) && inside(y, height, picture.height()) {
        Ok(picture.view(x, y, width, height).to_image())
    } else {
        let end = |start: u32, length: u32| start.saturating_add(length);
        Err(Mismatch(
            end(x, width),
            end(y, height),
            picture.width(),
            picture.height(),
        ))
    }
}

/// The picture over a plain colour. Under transparency lie arbitrary colours.
pub fn flatten(picture: &RgbaImage, under: [u8; 3]) -> RgbImage {
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

/// Black for white. Line drawings come as black lines on white, control nets want the contrary.
pub fn invert(picture: &RgbImage) -> RgbImage {
    let mut inverse = picture.clone();
    inverse.iter_mut().for_each(|value| *value = !*value);
    inverse
}

/// The picture with the selection black: what an inpaint control net is told.
pub fn hint(picture: &RgbImage, mask: &GrayImage) -> Result<RgbImage, Mismatch> {
    Mismatch::check(mask.dimensions(), picture.dimensions())?;
    let mut hint = picture.clone();
    let selected = hint.pixels_mut().zip(mask.iter()).filter(|(_, value)| **value >= HALF);
    selected.for_each(|(pixel, _)| *pixel = Rgb([0; 3]));
    Ok(hint)
}

/// The picture with the mask as straight alpha.
pub fn with_alpha(picture: &RgbImage, mask: &GrayImage) -> Result<RgbaImage, Mismatch> {
    Mismatch::check(mask.dimensions(), picture.dimensions())?;
    let mut joined = RgbaImage::new(picture.width(), picture.height());
    for ((to, from), alpha) in joined.pixels_mut().zip(picture.pixels()).zip(mask.iter()) {
        let [red, green, blue] = from.0;
        *to = Rgba([red, green, blue, *alpha]);
    }
    Ok(joined)
}
