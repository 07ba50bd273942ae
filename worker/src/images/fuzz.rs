//! Pictures as nobody meant them: with a plan for two pictures of one size, and as results.

use std::io::Cursor;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use fuzz::{Chance, Sample};
use image::{DynamicImage, ImageFormat};
use model::worker_api::InputBlob;
use workflow::{Colour, Filling, Filter, Input, Operation, Output, Source};

use super::{inputs, result_blob::ResultBlob};

const SIZE: (u32, u32) = (8, 6);

/// Every kind of picture that is read, and some that are not.
fn pictures() -> Vec<Vec<u8>> {
    let (width, height) = SIZE;
    let mut picture = DynamicImage::new_rgba8(width, height).into_rgba8();
    let shade = |x: u32, y: u32| [x * 30, y * 40, 90, 255 - x * 20].map(|it| it as u8);
    picture
        .enumerate_pixels_mut()
        .for_each(|(x, y, pixel)| pixel.0 = shade(x, y));
    let clear = DynamicImage::from(picture);
    let colours = DynamicImage::from(clear.to_rgb8());
    let encoded = |picture: &DynamicImage, format| {
        let mut bytes = Cursor::new(vec![]);
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    vec![
        encoded(&clear, ImageFormat::Png),
        encoded(&colours, ImageFormat::Png),
        encoded(&clear.to_luma8().into(), ImageFormat::Png),
        encoded(&clear.to_rgba16().into(), ImageFormat::Png),
        encoded(&colours, ImageFormat::Jpeg),
        encoded(&clear, ImageFormat::WebP),
        ::pictures::webp(&colours.to_rgb8(), width, height, false).unwrap(),
        b"no picture".to_vec(),
    ]
}

/// A picture with other bytes. A PNG's checksums are mostly made good again, or nothing would come further than these.
fn picture(chance: &mut Chance, of: &[Vec<u8>]) -> Sample {
    if chance.seldom(3) {
        return Sample(chance.one(of).clone());
    }
    let mut picture = chance.bytes(of);
    if !chance.seldom(4) {
        repair(&mut picture.0);
    }
    picture
}

fn repair(png: &mut [u8]) {
    let mut at = 8;
    while let Some(length) = png.get(at..at + 4) {
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let end = at + 8 + length;
        let Some(chunk) = png.get(at + 4..end) else { return };
        let sum = !chunk.iter().fold(!0_u32, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 * (sum & 1)))
        });
        let Some(place) = png.get_mut(end..end + 4) else { return };
        place.copy_from_slice(&sum.to_be_bytes());
        at = end + 4;
    }
}

/// One picture for its colours, and one for a mask that says where these are changed.
fn plan() -> [Input; 3] {
    let input = |source, operations| Input {
        name: "in.png".into(),
        source,
        operations,
        upload: true,
    };
    let (width, height) = SIZE;
    let segment = |image| Source::Segment {
        image,
        width,
        height,
        or: vec![[12, 4]],
        any: Some(16),
        flatten: Colour([0, 0, 255]),
    };
    let scale = Operation::Scale {
        width,
        height,
        filter: Filter::Lanczos,
    };
    let how = Filling::Blur;
    [
        input(segment(0), vec![scale.clone()]),
        input(segment(1), vec![Operation::Mask, scale]),
        input(Source::Prepared { prepared: 0 }, vec![Operation::Fill { mask: 1, how }]),
    ]
}

/// Most memory of one input, bytes: a reference picture may have as many pixels as any, and a small file can say so. Its decoder
/// holds three bytes of each, and half as much again of its own.
const SPACE: usize = 512 << 20;

fn taken(blob: &InputBlob, plan: &[Input]) -> bool {
    let ready = inputs::inline(blob).and_then(|bytes| inputs::prepare(blob, &bytes.unwrap(), plan, &[]));
    match ready {
        Ok(ready) => {
            let made = ready.uploads.iter().map(|png| image::load_from_memory(png).unwrap());
            assert!(made.map(|it| (it.width(), it.height())).eq([SIZE; 3]));
            true
        }
        Err(error) => {
            let said = error.to_string();
            assert!(said.ends_with('.') && said.len() < 150, "{said}");
            false
        }
    }
}

/// A WebP of 148 bytes whose header says 7176 × 9333 pixels: as many as a picture may have.
const LARGE: &str = "UklGRnQAAABXRUJQVlA4IGgAAADQAQCdASoIXHVkODAwXHVkODAwXHVkODAwXHVkODAwXHVkODAwXHVkODAwXHVkODAwAAYAAIAOJbAAI2JmkrPDgAD+\
                     /2n0f32l9aDv6jICBmOUP/hhnH//+39O+Rfwckn/+p9/8O/g5JP/9oRtp/4cp/h/+Vf/g1/0eectLAAAAG5v";

#[test]
fn a_small_file_of_a_large_picture_takes_no_more_memory_than_that() {
    let bytes = BASE64_STANDARD.decode(LARGE).unwrap();
    let blob = InputBlob {
        base64: Some(LARGE.to_owned()),
        key: None,
        etag: None,
        offsets: vec![0],
        size: bytes.len() as u64,
    };
    let mut any = plan()[0].clone();
    any.operations.clear();
    let runs = std::cell::Cell::new(0);
    // The second one is nothing, since some are not to be taken.
    let make = |_: &mut Chance| {
        if runs.replace(1) == 0 {
            blob.clone()
        } else {
            InputBlob {
                offsets: vec![9],
                ..blob.clone()
            }
        }
    };
    fuzz::run_within(SPACE, 2, make, |blob| {
        let bytes = inputs::inline(blob).unwrap().unwrap();
        // Whether there is a picture in it is another question.
        drop(inputs::prepare(blob, &bytes, std::slice::from_ref(&any), &[]));
        blob.offsets == [0]
    });
}

#[test]
fn fuzz_inputs() {
    let (pictures, plan) = (pictures(), plan());
    let make = |chance: &mut Chance| {
        let (first, second) = (picture(chance, &pictures), picture(chance, &pictures));
        let bytes = Sample([first.0.as_slice(), &second].concat());
        let mut offsets = vec![0, first.len() as u64];
        let mut size = bytes.len() as u64;
        if chance.seldom(10) {
            let place = chance.below(2);
            offsets[place] = chance.number();
        }
        if chance.seldom(20) {
            size = chance.number();
        }
        if chance.seldom(20) {
            offsets.truncate(chance.below(2));
        }
        let mut base64 = BASE64_STANDARD.encode(&*bytes);
        if chance.seldom(10) {
            base64 = String::from_utf8_lossy(&chance.bytes(&[base64])).into_owned();
        }
        InputBlob {
            base64: Some(base64),
            key: None,
            etag: None,
            offsets,
            size,
        }
    };
    fuzz::run_within(SPACE, 200, make, |blob| taken(blob, &plan));
}

#[test]
fn fuzz_results() {
    let pictures = pictures();
    let make = |chance: &mut Chance| {
        let made = (0..=chance.below(2)).map(|_| picture(chance, &pictures));
        made.collect::<Vec<_>>()
    };
    let taken = |made: &Vec<Sample>| {
        let (width, height) = SIZE;
        let wanted = Output {
            count: 1 + u32::from(made.len() > 1),
            width,
            height,
            webp: false,
        };
        let made: Vec<_> = made.iter().map(|it| Bytes::copy_from_slice(it)).collect();
        let Ok(blob) = ResultBlob::new(&made, wanted) else {
            return false;
        };
        assert!(blob.bytes.len() <= made.iter().map(Bytes::len).sum());
        assert_eq!((blob.offsets.len(), blob.offsets[0]), (made.len(), 0));
        assert!(blob.offsets.is_sorted() && *blob.offsets.last().unwrap() < blob.bytes.len() as u64);
        true
    };
    fuzz::run(200, make, taken);
}
