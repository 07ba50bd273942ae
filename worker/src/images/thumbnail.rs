//! A finished picture, made so small that a list can show many. Takes its time: not for an async thread.

use std::thread;

use bytes::Bytes;
use model::MAX_THUMBNAIL;

use super::finish::decoding;

/// Pixels of the longer side and qualities that are tried, the best first; the last pair fits whatever is in the picture.
const TRIES: [(u32, f32); 6] = [
    (256, 80.0),
    (256, 60.0),
    (256, 40.0),
    (192, 40.0),
    (128, 40.0),
    (64, 40.0),
];

/// A WebP of at most [`MAX_THUMBNAIL`] bytes of each picture; none if one of them cannot be read.
pub(crate) fn thumbnails(pictures: &[Bytes]) -> Option<Vec<Bytes>> {
    thread::scope(|scope| {
        let running: Vec<_> = pictures.iter().map(|it| scope.spawn(|| thumbnail(it))).collect();
        running.into_iter().map(|one| one.join().ok().flatten()).collect()
    })
}

fn thumbnail(file: &[u8]) -> Option<Bytes> {
    shrunk(file, MAX_THUMBNAIL, TRIES, pictures::webp_of).map(Bytes::from)
}

/// The picture as the first of these tries, a longer side and a quality, that makes at most so many bytes of it; `coded` has
/// its pixels, width, height, whether with alpha, and the quality. None if it cannot be read, or no try is small enough.
pub(super) fn shrunk<Q>(
    file: &[u8],
    most: u64,
    tries: impl IntoIterator<Item = (u32, Q)>,
    coded: impl Fn(&[u8], u32, u32, bool, Q) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let format = image::guess_format(file).ok()?;
    let mut picture = pictures::read(file, format, decoding()).ok()?;
    for (side, quality) in tries {
        if picture.width().max(picture.height()) > side {
            picture = pictures::thumbnail(&picture, side);
        }
        let (width, height) = (picture.width(), picture.height());
        let made = if picture.color().has_alpha() {
            coded(&picture.to_rgba8(), width, height, true, quality)
        } else {
            coded(&picture.to_rgb8(), width, height, false, quality)
        }?;
        if made.len() as u64 <= most {
            return Some(made);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, ImageFormat, RgbImage, RgbaImage};
    use std::io::Cursor;

    fn file(picture: impl Into<DynamicImage>, format: ImageFormat) -> Bytes {
        let mut file = Cursor::new(vec![]);
        picture.into().write_to(&mut file, format).unwrap();
        file.into_inner().into()
    }

    fn noise(x: u32, y: u32) -> [u8; 4] {
        let mut state = (x + 1).wrapping_mul(0x9e37_79b9) ^ y.wrapping_mul(0x85eb_ca6b);
        for _ in 0..3 {
            state = (state ^ (state >> 15)).wrapping_mul(0x2c1b_3c6d);
        }
        state.to_le_bytes()
    }

    #[test]
    fn whatever_is_in_it_it_fits() {
        let calm = RgbImage::from_fn(1024, 512, |x, y| image::Rgb([(x / 4) as u8, (y / 2) as u8, 90]));
        let wild = RgbaImage::from_fn(256, 256, |x, y| image::Rgba(noise(x, y)));
        let small = RgbaImage::from_pixel(30, 20, image::Rgba([1, 2, 3, 0]));
        let line = RgbImage::from_pixel(5000, 3, image::Rgb([7, 7, 7]));
        for (file, size) in [
            (file(calm.clone(), ImageFormat::Png), Some((256, 128))),
            (file(calm, ImageFormat::WebP), Some((256, 128))),
            (file(wild, ImageFormat::Png), None),
            (file(small, ImageFormat::Png), Some((30, 20))),
            (file(line, ImageFormat::Png), Some((256, 1))),
        ] {
            let made = thumbnails(std::slice::from_ref(&file)).unwrap();
            assert_eq!(made.len(), 1);
            assert!(made[0].len() as u64 <= MAX_THUMBNAIL, "{}", made[0].len());
            let seen = image::load_from_memory_with_format(&made[0], ImageFormat::WebP).unwrap();
            let found = (seen.width(), seen.height());
            assert!(size.is_none_or(|size| size == found), "{found:?}");
        }
    }

    #[test]
    fn they_look_like_their_pictures_in_their_order() {
        let plain = |colour| file(RgbImage::from_pixel(300, 300, image::Rgb(colour)), ImageFormat::Png);
        let made = thumbnails(&[plain([250, 10, 10]), plain([10, 10, 250])]).unwrap();
        let colours = made
            .iter()
            .map(|it| image::load_from_memory(it).unwrap().to_rgb8()[(128, 128)].0);
        let colours: Vec<_> = colours.collect();
        assert!(colours[0][0] > 200 && colours[0][2] < 60, "{colours:?}");
        assert!(colours[1][2] > 200 && colours[1][0] < 60, "{colours:?}");
    }

    #[test]
    fn with_one_that_is_no_picture_there_are_none() {
        let good = file(RgbImage::new(64, 64), ImageFormat::Png);
        assert!(thumbnails(std::slice::from_ref(&good)).is_some());
        assert_eq!(thumbnails(&[good.clone(), good.slice(..20)]), None);
        assert_eq!(thumbnails(&[Bytes::from_static(b"garbage")]), None);
    }
}
