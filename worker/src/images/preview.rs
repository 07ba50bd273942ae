//! A picture as it grows, made so small that it fits into a message.

use image::Limits;
use model::socket::MAX_PREVIEW;

/// Pixels of the longer side and qualities that are tried, the best first. ComfyUI's previews have 512 pixels; the last pair
/// fits whatever is in the picture.
const TRIES: [(u32, u8); 6] = [(384, 75), (384, 50), (256, 70), (256, 45), (128, 60), (64, 40)];
/// ComfyUI's previews are small; larger ones are none.
const SIDE: u32 = 4096;

/// A JPEG of at most [`MAX_PREVIEW`] bytes; none if that is no picture.
pub(crate) fn preview(file: &[u8]) -> Option<Vec<u8>> {
    let format = image::guess_format(file).ok()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE);
    limits.max_image_height = Some(SIDE);
    limits.max_alloc = Some(128 << 20);
    let picture = pictures::read(file, format, limits).ok()?;
    let mut sized = None;
    for (side, quality) in TRIES {
        let small = match sized.take() {
            Some((of, small)) if of == side => small,
            _ if picture.width().max(picture.height()) <= side => picture.to_rgb8(),
            _ => pictures::thumbnail(&picture, side).into_rgb8(),
        };
        let jpeg = pictures::jpeg(&small, quality).ok()?;
        if jpeg.len() <= MAX_PREVIEW {
            return Some(jpeg);
        }
        sized = Some((side, small));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, ImageFormat, RgbImage, RgbaImage};
    use std::io::Cursor;

    fn file(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut file = Cursor::new(vec![]);
        picture.into().write_to(&mut file, format).unwrap();
        file.into_inner()
    }

    #[test]
    fn whatever_is_in_it_it_fits() {
        let calm = RgbImage::from_fn(512, 256, |x, y| image::Rgb([(x / 2) as u8, y as u8, 90]));
        let wild = RgbImage::from_fn(512, 512, |x, y| {
            image::Rgb(
                (x.wrapping_mul(y) ^ (x * 7919))
                    .wrapping_mul(2_654_435_761)
                    .to_le_bytes()[1..]
                    .try_into()
                    .unwrap(),
            )
        });
        let clear = RgbaImage::from_pixel(300, 200, image::Rgba([1, 2, 3, 0]));
        for (file, size) in [
            (file(calm, ImageFormat::Jpeg), Some((384, 192))),
            (file(wild, ImageFormat::Jpeg), None),
            (file(clear, ImageFormat::Png), Some((300, 200))),
        ] {
            let made = preview(&file).unwrap();
            assert!(
                made.len() <= MAX_PREVIEW && made.starts_with(&[0xff, 0xd8, 0xff]),
                "{}",
                made.len()
            );
            let seen = image::load_from_memory(&made).unwrap();
            assert!(size.is_none_or(|size| size == (seen.width(), seen.height())));
        }
    }

    #[test]
    fn what_is_no_picture_is_nothing() {
        let whole = file(RgbImage::new(64, 64), ImageFormat::Jpeg);
        let wide = file(RgbImage::new(SIDE + 1, 1), ImageFormat::Png);
        for bytes in [&b""[..], b"garbage", &whole[..20], &wide] {
            assert_eq!(preview(bytes), None);
        }
    }
}
