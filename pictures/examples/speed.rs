//! How long each operation takes at 2048², and how large files become: `cargo run --release -p pictures --example speed`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement is printed")]
#![allow(clippy::disallowed_types, reason = "a measurement takes times")]

use image::{
    DynamicImage, ExtendedColorType, GrayImage, ImageEncoder, Luma, Rgb, RgbImage,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};
use pictures::{Fill, Filter};
use std::{hint::black_box, time::Instant};

const SIDE: u32 = 2_048;

fn time<T>(what: &str, run: impl Fn() -> T) {
    let best = (0..3)
        .map(|_| {
            let begun = Instant::now();
            black_box(run());
            begun.elapsed().as_secs_f64() * 1e3
        })
        .fold(f64::MAX, f64::min);
    println!("{what:28} {best:7.1} ms");
}

fn main() {
    let picture = RgbImage::from_fn(SIDE, SIDE, |x, y| Rgb([(x / 8) as u8, (y / 8) as u8, (x ^ y) as u8]));
    let other = pictures::invert(&picture);
    let mask = GrayImage::from_fn(SIDE, SIDE, |x, y| {
        let (x, y) = (i64::from(x) - 1_024, i64::from(y) - 1_024);
        Luma([if x * x + y * y < 640_000 { 255 } else { 0 }])
    });
    let sent = RgbImage::from_fn(SIDE, SIDE, |x, y| Rgb([mask.get_pixel(x, y).0[0]; 3]));
    time("clean", || pictures::clean(&sent));
    time("expand 79, 150", || pictures::expand(&mask, 79, 150));
    time("expand 499, 499", || pictures::expand(&mask, 499, 499));
    time("stable", || pictures::stable(&mask));
    time("composite 25", || pictures::composite(&mask, 25));
    time("composite 499", || pictures::composite(&mask, 499));
    time("remainder of 3", || pictures::remainder(&mask, &[&mask, &mask]));
    time("scale mask to 1024", || pictures::scale_mask(&mask, 1_024, 1_024));
    time("scale mask from 1024 to 2048", || {
        pictures::scale_mask(&pictures::scale_mask(&mask, 1_024, 1_024), SIDE, SIDE)
    });
    for (name, how) in [
        ("fill neutral", Fill::Neutral),
        ("fill replace", Fill::Replace),
        ("fill blur", Fill::Blur),
        ("fill border", Fill::Border),
    ] {
        time(name, || pictures::fill(&picture, &mask, how).unwrap());
    }
    let joined = pictures::with_alpha(&picture, &mask).unwrap();
    let write = || {
        let mut png = Vec::new();
        let encoder = PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Sub);
        encoder
            .write_image(&joined, SIDE, SIDE, ExtendedColorType::Rgba8)
            .unwrap();
        png
    };
    time("write a PNG with alpha", write);
    for side in [1_024, SIDE] {
        files(side);
    }
    let png = write();
    time("read a PNG with alpha", || image::load_from_memory(&png).unwrap());
    time("match colours", || {
        pictures::match_colours(&picture, &other, &mask, 0.5).unwrap()
    });
    time("hint", || pictures::hint(&picture, &mask).unwrap());
    time("with alpha", || pictures::with_alpha(&picture, &mask).unwrap());
    time("crop to 1024", || {
        pictures::crop(&picture, [512, 512, 1_024, 1_024]).unwrap()
    });
    time("invert", || pictures::invert(&picture));
    time("lanczos to 1024", || {
        pictures::scale(&picture, 1_024, 1_024, Filter::Lanczos)
    });
    time("lanczos from 1024 to 2048", || {
        pictures::scale(
            &pictures::crop(&picture, [0, 0, 1_024, 1_024]).unwrap(),
            SIDE,
            SIDE,
            Filter::Lanczos,
        )
    });
}

/// Time and size of a result as each kind of file: a picture with soft and fine structure, as a diffusion makes them.
fn files(side: u32) {
    let wave = |at: u32, length: f32| (at as f32 / length).sin() * 40.0;
    let mut state = 1_u32;
    let picture = RgbImage::from_fn(side, side, |x, y| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let grain = (state >> 29) as f32;
        let gray = 128.0 + wave(x, 90.0) + wave(y, 60.0) + wave(x + y, 11.0) * 0.3 + grain;
        Rgb([gray as u8, (gray * 0.8 + wave(y, 200.0)) as u8, (255.0 - gray) as u8])
    });
    let show = |what: &str, write: &dyn Fn() -> Vec<u8>| {
        time(&format!("{what} of {side}²: {} KB", write().len() / 1_024), write);
    };
    let png = |compression| {
        let mut png = Vec::new();
        let encoder = PngEncoder::new_with_quality(&mut png, compression, FilterType::Sub);
        encoder
            .write_image(&picture, side, side, ExtendedColorType::Rgb8)
            .unwrap();
        png
    };
    show("PNG", &|| png(CompressionType::Fast));
    show("lossless WebP", &|| {
        let mut file = Vec::new();
        let encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut file);
        encoder
            .write_image(&picture, side, side, ExtendedColorType::Rgb8)
            .unwrap();
        file
    });
    show("WebP", &|| pictures::webp(&picture, side, side, false).unwrap());
    let picture = DynamicImage::from(picture);
    time(&format!("thumbnail of {side}²"), || pictures::thumbnail(&picture, 256));
    time("the same by image alone", || picture.thumbnail(256, 256));
    let small = pictures::thumbnail(&picture, 256).into_rgb8();
    let write = || pictures::webp_of(&small, 256, 256, false, 80.0).unwrap();
    time(&format!("WebP of it: {} KB", write().len() / 1_024), write);
}
