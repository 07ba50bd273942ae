//! The last work on what the renderer made. Takes its time: not for an async thread.

use std::thread;

use bytes::Bytes;
use image::{ImageFormat, Limits, RgbImage};
use workflow::Operation;

use super::picture::{Misfit, Picture, Shelf};

/// Of a single picture while it is decoded: 8192² with four channels of 16 bits.
const MAX_DECODED: u64 = 8 * 8_192 * 8_192;

/// What the renderer made, finished; each picture by itself.
pub(crate) fn finish(
    made: &[Bytes],
    operations: &[Operation],
    shelf: &Shelf,
    webp: bool,
) -> Result<Vec<Bytes>, Misfit> {
    let one = |png: &Bytes| {
        let mut picture = Picture::Colours(decode(png)?);
        for operation in operations {
            picture = picture.apply(operation, shelf)?;
        }
        if webp { picture.webp() } else { picture.png() }
    };
    thread::scope(|scope| {
        let running: Vec<_> = made.iter().map(|png| scope.spawn(move || one(png))).collect();
        let done = running
            .into_iter()
            .map(|one| one.join().unwrap_or(Err(Misfit::Unreadable)));
        done.collect()
    })
}

fn decode(png: &[u8]) -> Result<RgbImage, Misfit> {
    let picture = pictures::read(png, ImageFormat::Png, decoding()).map_err(|_| Misfit::Unreadable)?;
    Ok(picture.into_rgb8())
}

/// What decoding one picture may take.
pub(crate) fn decoding() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODED);
    limits
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma, Rgb};
    use std::sync::Arc;

    fn shelf() -> Shelf {
        let mask = GrayImage::from_fn(8, 8, |x, _| Luma([if x < 4 { 255 } else { 0 }]));
        let reference = RgbImage::from_pixel(8, 8, Rgb([90, 120, 60]));
        vec![
            Some(Arc::new(Picture::Mask(mask))),
            Some(Arc::new(Picture::Colours(reference))),
            None,
        ]
    }

    fn made() -> Bytes {
        Picture::Colours(RgbImage::from_pixel(8, 8, Rgb([200, 100, 50])))
            .png()
            .unwrap()
    }

    #[test]
    fn results_are_finished_in_order() {
        let operations = [
            Operation::MatchColours {
                reference: 1,
                mask: 0,
                strength: 0.0,
            },
            Operation::Alpha { mask: 0 },
            Operation::Crop {
                bounds: [2, 0, 4, 8],
                only: None,
            },
        ];
        let done = finish(&[made(), made()], &operations, &shelf(), false).unwrap();
        assert_eq!(done.len(), 2);
        let picture = image::load_from_memory(&done[1]).unwrap();
        let picture = picture.as_rgba8().unwrap();
        assert_eq!(picture.dimensions(), (4, 8));
        assert_eq!(picture.get_pixel(1, 3).0, [200, 100, 50, 255]);
        assert_eq!(picture.get_pixel(2, 3).0[3], 0);
    }

    #[test]
    fn what_cannot_be_done_is_an_error() {
        let refused = |operation: Operation| finish(&[made()], &[operation], &shelf(), false).unwrap_err();
        assert_eq!(refused(Operation::Alpha { mask: 1 }), Misfit::Kind);
        assert_eq!(refused(Operation::Alpha { mask: 2 }), Misfit::Absent);
        assert_eq!(refused(Operation::Alpha { mask: 9 }), Misfit::Absent);
        assert_eq!(refused(Operation::Stable), Misfit::Kind);
        let outside = Operation::Crop {
            bounds: [u32::MAX, 1, 8, 8],
            only: None,
        };
        assert!(matches!(refused(outside), Misfit::Size(_)));
        assert_eq!(
            finish(&[Bytes::from_static(b"no PNG")], &[], &shelf(), false).unwrap_err(),
            Misfit::Unreadable
        );
    }
}
