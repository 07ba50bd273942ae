//! Pictures as small files.

use webp::{Encoder, PixelLayout, WebPConfig};

/// Sides beyond this do not fit into a WebP.
pub const WEBP_SIDE: u32 = 16_383;

/// Of colours, 0 to 100: nothing is seen of what is lost. Alpha is kept exactly.
const QUALITY: f32 = 92.0;
/// 0 (fast) to 6 (small). By `--example speed`, more than this costs much time and saves little.
const METHOD: i32 = 1;

/// The pixels, three bytes or with alpha four bytes each, as a lossy WebP of high quality. None if they are not so many, or
/// more than a WebP can hold.
pub fn webp(pixels: &[u8], width: u32, height: u32, alpha: bool) -> Option<Vec<u8>> {
    coded(pixels, width, height, alpha, |config| {
        config.quality = QUALITY;
        config.method = METHOD;
    })
}

/// The same of this quality, 0 to 100, alpha included, and as small as can be in the time that a small picture takes.
pub fn webp_of(pixels: &[u8], width: u32, height: u32, alpha: bool, quality: f32) -> Option<Vec<u8>> {
    coded(pixels, width, height, alpha, |config| {
        config.quality = quality;
        config.alpha_quality = quality as i32;
        config.method = 4;
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
