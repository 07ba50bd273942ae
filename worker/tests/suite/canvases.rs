//! Canvases and selections, and how pictures are compared with them.

use base64::{Engine, prelude::BASE64_STANDARD};
use image::{DynamicImage, Rgb, RgbImage, RgbaImage};
use model::worker_api::InputBlob;

pub(crate) fn png(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(vec![]);
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

pub(crate) fn canvas(side: u32) -> RgbImage {
    RgbImage::from_fn(side, side, |x, y| {
        Rgb([(x * 3) as u8, (y * 3) as u8, if x > side / 2 { 200 } else { 30 }])
    })
}

/// White in the rectangle x, y, width, height.
pub(crate) fn mask(side: u32, [left, top, width, height]: [u32; 4]) -> RgbImage {
    RgbImage::from_fn(side, side, |x, y| {
        let inside = (left..left + width).contains(&x) && (top..top + height).contains(&y);
        Rgb([if inside { 255 } else { 0 }; 3])
    })
}

pub(crate) fn blob(pictures: &[RgbImage]) -> InputBlob {
    let (mut bytes, mut offsets) = (vec![], vec![]);
    for picture in pictures {
        offsets.push(bytes.len() as u64);
        bytes.extend_from_slice(&png(picture));
    }
    InputBlob {
        base64: Some(BASE64_STANDARD.encode(&bytes)),
        key: None,
        etag: None,
        offsets,
        size: bytes.len() as u64,
    }
}

pub(crate) fn clear(picture: &DynamicImage) -> &RgbaImage {
    picture.as_rgba8().expect("a picture with alpha")
}

/// How far colours are apart, where the picture is opaque.
pub(crate) fn distance(picture: &RgbaImage, canvas: &RgbImage, [left, top]: [u32; 2]) -> f64 {
    let opaque = picture.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[3] == 255);
    let (mut sum, mut count) = (0.0, 0.0);
    for (x, y, pixel) in opaque {
        let below = canvas.get_pixel(x + left, y + top).0;
        sum += pixel
            .0
            .iter()
            .zip(below)
            .map(|(a, b)| f64::from(a.abs_diff(b)))
            .sum::<f64>();
        count += 3.0;
    }
    assert!(count > 0.0);
    sum / count
}
