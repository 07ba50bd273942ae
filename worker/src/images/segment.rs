//! One picture of a request: checked before anything decodes it, then made plain colours.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, ImageReader, Limits, RgbImage};
use workflow::Colour;

use super::bad_input::BadInput;

/// The longest side of a picture.
const MAX_SIDE: u32 = 16_384;
/// The most pixels of a picture.
const MAX_PIXELS: u64 = 64 * 1024 * 1024;

/// The picture, which must have one of these sizes; without any, whatever size it has.
pub(crate) fn picture(
    bytes: &[u8],
    image: usize,
    sizes: Option<&[[u32; 2]]>,
    under: Colour,
) -> Result<RgbImage, BadInput> {
    let number = image + 1;
    let unreadable = || BadInput::Unreadable(number);
    let format = image::guess_format(bytes).map_err(|_| unreadable())?;
    if !matches!(format, ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP) {
        return Err(unreadable());
    }
    let reader = ImageReader::with_format(Cursor::new(bytes), format);
    let (width, height) = reader.into_dimensions().map_err(|_| unreadable())?;
    if width > MAX_SIDE || height > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(BadInput::TooManyPixels { number, width, height });
    }
    if let Some(sizes) = sizes.filter(|it| !it.contains(&[width, height])) {
        let [wanted_width, wanted_height] = sizes.first().copied().unwrap_or_default();
        return Err(BadInput::Size {
            number,
            width,
            height,
            wanted_width,
            wanted_height,
        });
    }
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(width), Some(height));
    // Sixteen bits for each of four channels, and as much again for the decoder.
    limits.max_alloc = Some(u64::from(width) * u64::from(height) * 16 + (16 << 20));
    let picture = pictures::read(bytes, format, limits).map_err(|_| unreadable())?;
    Ok(flatten(picture, under.0))
}

/// The picture over a plain colour; ComfyUI would show whatever colour lies hidden under transparency.
fn flatten(picture: DynamicImage, under: [u8; 3]) -> RgbImage {
    if picture.color().has_alpha() {
        pictures::flatten(&picture.into_rgba8(), under)
    } else {
        picture.into_rgb8()
    }
}
