//! Pictures as files. Here and not where they are wanted, since `image` is compiled anew for each kind of file that is read
//! or written, and a development build optimises this crate: in another it takes ten times as long.

use std::io::Cursor;

use image::{
    DynamicImage, ExtendedColorType, ImageEncoder, ImageError, ImageFormat, ImageReader, ImageResult, Limits, RgbImage,
    codecs::{
        jpeg::JpegEncoder,
        png::{CompressionType, FilterType, PngEncoder},
    },
    error::{ParameterError, ParameterErrorKind},
};
use webp::{Encoder, PixelLayout, WebPConfig};

/// Sides beyond this do not fit into a WebP.
pub const WEBP_SIDE: u32 = 16_383;

/// Of colours, 0 to 100: nothing is seen of what is lost. Alpha is kept exactly.
const QUALITY: f32 = 92.0;
/// 0 (fast) to 6 (small). By `--example speed`, more than this costs much time and saves little.
const METHOD: i32 = 1;
/// The same for small pictures.
const METHOD_SMALL: i32 = 2;

/// The picture in a file of this format, within these limits.
///
/// # Errors
/// The file is none of this format, is damaged, or wants more than the limits allow.
pub fn read(file: &[u8], format: ImageFormat, limits: Limits) -> ImageResult<DynamicImage> {
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    reader.limits(limits);
    reader.decode()
}

/// A picture as a file of this format.
///
/// # Errors
/// The format cannot hold such a picture.
pub fn file(picture: &DynamicImage, format: ImageFormat) -> ImageResult<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format)?;
    Ok(bytes.into_inner())
}

/// Pixels as a PNG that is made fast rather than small.
///
/// # Errors
/// They are not so many.
pub fn fast_png(pixels: &[u8], width: u32, height: u32, colour: ExtendedColorType) -> ImageResult<Vec<u8>> {
    let bits = u128::from(width) * u128::from(height) * u128::from(colour.bits_per_pixel());
    if pixels.len() as u128 * 8 != bits {
        let kind = ParameterErrorKind::DimensionMismatch;
        return Err(ImageError::Parameter(ParameterError::from_kind(kind)));
    }
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Sub)
        .write_image(pixels, width, height, colour)?;
    Ok(bytes)
}

/// A picture as a JPEG of this quality, 1 to 100.
///
/// # Errors
/// A JPEG cannot hold such a picture.
pub fn jpeg(picture: &RgbImage, quality: u8) -> ImageResult<Vec<u8>> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(picture)?;
    Ok(bytes)
}

/// The pixels, three bytes or with alpha four bytes each, as a lossy WebP of high quality. None if they are not so many, or
/// more than a WebP can hold.
pub fn webp(pixels: &[u8], width: u32, height: u32, alpha: bool) -> Option<Vec<u8>> {
    coded(pixels, width, height, alpha, |config| {
        config.quality = QUALITY;
        config.method = METHOD;
    })
}

/// The same of this quality, 0 to 100, alpha included, and a little smaller, which takes its time in small pictures only.
pub fn webp_of(pixels: &[u8], width: u32, height: u32, alpha: bool, quality: f32) -> Option<Vec<u8>> {
    coded(pixels, width, height, alpha, |config| {
        config.quality = quality;
        config.alpha_quality = quality as i32;
        config.method = METHOD_SMALL;
    })
}

fn coded(pixels: &[u8], width: u32, height: u32, alpha: bool, set: impl FnOnce(&mut WebPConfig)) -> Option<Vec<u8>> {
    let layout = if alpha { PixelLayout::Rgba } else { PixelLayout::Rgb };
    let bytes = u64::from(width) * u64::from(height) * if alpha { 4 } else { 3 };
    if bytes == 0 || bytes != pixels.len() as u64 || width.max(height) > WEBP_SIDE {
        return None;
    }
    let mut config = WebPConfig::new().ok()?;
    set(&mut config);
    let coded = Encoder::new(pixels, layout, width, height)
        .encode_advanced(&config)
        .ok()?;
    Some(coded.to_vec())
}
