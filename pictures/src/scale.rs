//! Other sizes.

use crate::rows;
use image::{DynamicImage, GrayImage, RgbImage, RgbaImage, imageops};
use std::f64::consts::PI;

/// Of the Lanczos filter.
const LOBES: f64 = 3.0;

/// How colours are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Sharp and smooth, for what people look at.
    Lanczos,
    /// Only colours that were there, for thin lines.
    Nearest,
}

/// The picture in another size.
pub fn scale(picture: &RgbImage, width: u32, height: u32, filter: Filter) -> RgbImage {
    if picture.dimensions() == (width, height) {
        return picture.clone();
    }
    if picture.is_empty() || width == 0 || height == 0 {
        return RgbImage::new(width, height);
    }
    match filter {
        Filter::Lanczos => lanczos(picture, width, height),
        Filter::Nearest => imageops::resize(picture, width, height, imageops::FilterType::Nearest),
    }
}

/// The picture so small that its longer side has at most so many pixels, in its shape. Of eight bits with or without alpha,
/// whole blocks of pixels are averaged first, without those at the far edges that make no whole one: what does the rest takes
/// many times as long for a pixel.
pub fn thumbnail(picture: &DynamicImage, side: u32) -> DynamicImage {
    let (width, height) = (picture.width(), picture.height());
    // At most an eighth of the shorter side is left out, and a block's sum fits into 32 bits.
    let most = (width.min(height) / 8).clamp(1, 4096);
    let block = (width.max(height) / side.max(1)).clamp(1, most);
    let averaged = match picture {
        DynamicImage::ImageRgb8(it) => averaged::<3>(it, width, block)
            .and_then(|it| RgbImage::from_raw(width / block, height / block, it))
            .map(DynamicImage::from),
        DynamicImage::ImageRgba8(it) => averaged::<4>(it, width, block)
            .and_then(|it| RgbaImage::from_raw(width / block, height / block, it))
            .map(DynamicImage::from),
        _ => None,
    };
    let picture = averaged.as_ref().unwrap_or(picture);
    if picture.width().max(picture.height()) <= side {
        picture.clone()
    } else {
        picture.thumbnail(side, side)
    }
}

/// The averages of blocks of so many times so many pixels; none if that would change nothing.
fn averaged<const CHANNELS: usize>(pixels: &[u8], width: u32, block: u32) -> Option<Vec<u8>> {
    if block < 2 {
        return None;
    }
    let (line, side) = (width as usize * CHANNELS, block as usize);
    let mut averages = Vec::with_capacity(pixels.len() / (side * side));
    let mut sums = vec![[0_u32; CHANNELS]; width as usize / side];
    for lines in pixels.chunks_exact(line * side) {
        sums.fill([block * block / 2; CHANNELS]);
        for line in lines.chunks_exact(line) {
            for (sum, pixels) in sums.iter_mut().zip(line.chunks_exact(CHANNELS * side)) {
                for pixel in pixels.as_chunks::<CHANNELS>().0 {
                    *sum = std::array::from_fn(|channel| sum[channel] + u32::from(pixel[channel]));
                }
            }
        }
        averages.extend(sums.as_flattened().iter().map(|sum| (sum / (block * block)) as u8));
    }
    Some(averages)
}

/// The first pixel that a scaled one is made of, and the weights from there on.
type Taps = (usize, Vec<f32>);

fn lanczos(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (columns, lines) = (taps(picture.width(), width), taps(picture.height(), height));
    let length = picture.width() as usize * 3;
    let source = picture.as_raw();
    let mut scaled = RgbImage::new(width, height);
    rows::bands(&mut scaled, width as usize * 3, |top, band| {
        let mut line = vec![0_f32; length];
        for (row, (first, weights)) in band.chunks_exact_mut(width as usize * 3).zip(&lines[top..]) {
            line.fill(0.0);
            for (from, weight) in source[first * length..].chunks_exact(length).zip(weights) {
                line.iter_mut()
                    .zip(from)
                    .for_each(|(sum, value)| *sum += weight * f32::from(*value));
            }
            for (pixel, (first, weights)) in row.chunks_exact_mut(3).zip(&columns) {
                let mut sums = [0.5_f32; 3];
                for (from, weight) in line[first * 3..].chunks_exact(3).zip(weights) {
                    sums = [0, 1, 2].map(|channel| sums[channel] + weight * from[channel]);
                }
                // The cast keeps within 8 bits what the filter overshoots.
                pixel.copy_from_slice(&sums.map(|sum| sum as u8));
            }
        }
    });
    scaled
}

fn taps(from: u32, to: u32) -> Vec<Taps> {
    let factor = f64::from(from) / f64::from(to);
    let stretch = factor.max(1.0);
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) };
    let weight = |x: f64| {
        if x.abs() < LOBES {
            sinc(x) * sinc(x / LOBES)
        } else {
            0.0
        }
    };
    (0..to)
        .map(|place| {
            let middle = (f64::from(place) + 0.5) * factor;
            let first = (middle - LOBES * stretch).floor().max(0.0);
            let end = (middle + LOBES * stretch).ceil().min(f64::from(from));
            let weights = (first as u32..end as u32).map(|at| weight((f64::from(at) + 0.5 - middle) / stretch));
            let weights: Vec<_> = weights.collect();
            let sum: f64 = weights.iter().sum();
            (
                first as usize,
                weights.into_iter().map(|weight| (weight / sum) as f32).collect(),
            )
        })
        .collect()
}

/// A neighbour before, one after, and the share of the latter in 256ths.
type Between = (usize, usize, u32);

/// The mask in another size, bilinear between the middles of pixels, as ComfyUI does it.
pub fn scale_mask(mask: &GrayImage, width: u32, height: u32) -> GrayImage {
    let mut scaled = GrayImage::new(width, height);
    if mask.dimensions() == (width, height) || mask.is_empty() {
        scaled.iter_mut().zip(mask.iter()).for_each(|(to, from)| *to = *from);
        return scaled;
    }
    let columns = places(mask.width(), width);
    let lines = places(mask.height(), height);
    let (length, mask) = (mask.width() as usize, mask.as_raw());
    rows::each(&mut scaled, width as usize, |y, row| {
        let (above, below, share) = lines[y];
        let (above, below) = (&mask[above * length..][..length], &mask[below * length..][..length]);
        for (value, (left, right, part)) in row.iter_mut().zip(&columns) {
            let along = |line: &[u8]| u32::from(line[*left]) * (256 - part) + u32::from(line[*right]) * part;
            *value = ((along(above) * (256 - share) + along(below) * share + (1 << 15)) >> 16) as u8;
        }
    });
    scaled
}

fn places(from: u32, to: u32) -> Vec<Between> {
    let last = from as usize - 1;
    (0..to)
        .map(|place| {
            let middle = (f64::from(place) + 0.5) * f64::from(from) / f64::from(to) - 0.5;
            let middle = middle.max(0.0);
            let before = (middle as usize).min(last);
            let share = ((middle - before as f64) * 256.0).round() as u32;
            (before, (before + 1).min(last), share.min(256))
        })
        .collect()
}
