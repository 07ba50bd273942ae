//! Small pictures for the history of a document whose painter has agreed to one. Takes its time: not for an async thread.

use std::ops::Range;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use model::{StepPictures, worker_api::InputBlob};

use super::thumbnail::shrunk;

/// Pixels of the longer side that are tried, the largest first; the last fits whatever is in the picture, since it has fewer
/// bytes as it is.
const SIDES: [u32; 5] = [256, 192, 128, 96, 32];

/// The first picture of a request, as its painter sent it.
pub(crate) fn first(blob: &InputBlob, bytes: &Bytes) -> Option<Bytes> {
    let place = |offset: &u64| usize::try_from(*offset).ok();
    let begin = blob.offsets.first().and_then(place)?;
    let end = blob.offsets.get(1).and_then(place).unwrap_or(bytes.len());
    let range: Range<usize> = begin..end;
    (!range.is_empty() && end <= bytes.len()).then(|| bytes.slice(range))
}

/// What was sent and what was made, small. What cannot be read is left out; the others keep their numbers.
pub(crate) fn small(input: Option<&Bytes>, results: &[Bytes]) -> StepPictures {
    let share = StepPictures::MOST_RESULTS / results.len().max(1);
    let most = share.min(StepPictures::MOST);
    let coded = |file: &Bytes, most| webp(file, most).map(|it| BASE64_STANDARD.encode(it));
    StepPictures {
        input: input.and_then(|file| coded(file, StepPictures::MOST)),
        results: results.iter().map(|it| coded(it, most).unwrap_or_default()).collect(),
    }
}

fn webp(file: &[u8], most: usize) -> Option<Vec<u8>> {
    let tries = SIDES.map(|side| (side, ()));
    shrunk(file, most as u64, tries, |pixels, width, height, alpha, ()| {
        pictures::webp(pixels, width, height, alpha)
    })
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

    fn read(base64: &str) -> DynamicImage {
        let bytes = BASE64_STANDARD.decode(base64).unwrap();
        assert!(bytes.len() <= StepPictures::MOST, "{}", bytes.len());
        image::load_from_memory_with_format(&bytes, ImageFormat::WebP).unwrap()
    }

    #[test]
    fn whatever_is_in_it_it_fits() {
        let calm = file(
            RgbImage::from_fn(1024, 512, |x, y| image::Rgb([(x / 4) as u8, (y / 2) as u8, 90])),
            ImageFormat::Png,
        );
        let wild = file(
            RgbaImage::from_fn(512, 512, |x, y| image::Rgba(noise(x, y))),
            ImageFormat::Png,
        );
        let tiny = file(RgbImage::from_pixel(30, 20, image::Rgb([1, 2, 3])), ImageFormat::WebP);
        let made = small(Some(&calm), &[wild.clone(), tiny]);
        let input = read(&made.input.unwrap());
        assert_eq!((input.width(), input.height()), (256, 128));
        let sizes: Vec<_> = made.results.iter().map(|it| read(it).width()).collect();
        assert!(sizes[0] >= 32 && sizes[1] == 30, "{sizes:?}");
        // So many that each must be smaller.
        let many = small(None, &vec![wild; StepPictures::RESULTS]);
        let bytes: usize = many
            .results
            .iter()
            .map(|it| BASE64_STANDARD.decode(it).unwrap().len())
            .sum();
        assert!(
            many.results.iter().all(|it| !it.is_empty()) && bytes <= StepPictures::MOST_RESULTS,
            "{bytes}"
        );
    }

    #[test]
    fn what_is_no_picture_is_left_out() {
        let good = file(RgbImage::new(64, 64), ImageFormat::Png);
        let made = small(Some(&Bytes::from_static(b"garbage")), &[good.slice(..20), good]);
        assert_eq!(made.input, None);
        assert!(made.results[0].is_empty() && !made.results[1].is_empty());
    }

    #[test]
    fn the_first_picture_is_found_whatever_the_offsets_say() {
        let bytes = Bytes::from_static(b"0123456789");
        let blob = |offsets: &[u64]| InputBlob {
            base64: None,
            key: None,
            etag: None,
            offsets: offsets.to_vec(),
            size: 10,
        };
        for (offsets, found) in [
            (&[0, 4, 7][..], Some(&b"0123"[..])),
            (&[2], Some(b"23456789")),
            (&[], None),
            (&[4, 4], None),
            (&[7, 3], None),
            (&[0, 11], None),
            (&[u64::MAX], None),
        ] {
            assert_eq!(first(&blob(offsets), &bytes).as_deref(), found, "{offsets:?}");
        }
    }
}
