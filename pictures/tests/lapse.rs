//! Time-lapses, read back by the decoder of another hand than wrote them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::Cursor;

use image::{AnimationDecoder, codecs::png::PngDecoder};
use proptest::prelude::*;

fn webp(width: u32, height: u32, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let pixels: Vec<u8> = (0..width * height * 3)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    pictures::webp(&pixels, width, height, false).unwrap()
}

fn frames(file: &[u8]) -> Vec<(u32, u32, u128)> {
    let decoder = PngDecoder::new(Cursor::new(file)).unwrap();
    assert!(decoder.is_apng().unwrap());
    let frames = decoder.apng().unwrap().into_frames().collect_frames().unwrap();
    let each = frames.iter().map(|frame| {
        let delay = std::time::Duration::from(frame.delay());
        (frame.buffer().width(), frame.buffer().height(), delay.as_millis())
    });
    each.collect()
}

#[test]
fn each_picture_is_a_frame_and_the_last_one_stays() {
    let files = [webp(256, 128, 1), webp(64, 256, 2), webp(8, 8, 3)];
    let made = pictures::lapse(&files.iter().collect::<Vec<_>>(), 4 << 20).unwrap();
    assert_eq!(frames(&made), [(256, 256, 500), (256, 256, 500), (256, 256, 2500)]);
}

#[test]
fn it_becomes_smaller_and_then_shorter_until_it_fits() {
    let files: Vec<_> = (0..12).map(|seed| webp(256, 256, seed)).collect();
    let files: Vec<_> = files.iter().collect();
    let whole = pictures::lapse(&files, 4 << 20).unwrap();
    assert_eq!(frames(&whole).len(), 12);
    for most in [1 << 20, 300 << 10, 60 << 10] {
        let made = pictures::lapse(&files, most).unwrap();
        let shown = frames(&made);
        assert!(
            made.len() <= most && !shown.is_empty(),
            "{} of {most}: {shown:?}",
            made.len()
        );
        assert!(made.len() < whole.len());
    }
    assert_eq!(pictures::lapse(&files, 100), None);
}

proptest! {
    #[test]
    fn what_is_no_picture_is_left_out(junk in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..60_usize) {
        let good = webp(32, 32, 7);
        let short = good[..cut.min(good.len())].to_vec();
        let made = pictures::lapse(&[&junk, &good, &short], 1 << 20).unwrap();
        prop_assert_eq!(frames(&made).len(), 1);
        prop_assert_eq!(pictures::lapse(&[&junk, &short], 1 << 20), None);
    }
}
