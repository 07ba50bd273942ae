//! How long each operation takes at 2048²: `cargo run --release -p pictures --example speed`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement is printed")]

use image::{
    ExtendedColorType, GrayImage, ImageEncoder, Luma, Rgb, RgbImage,
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
