//! Blurs with mirrored edges.

use crate::rows::{self, mirror};
use image::GrayImage;

/// A separable blur with a triangle of this width, made odd. Exact but for one rounding per direction.
pub(crate) fn triangle(mask: &GrayImage, width: u32) -> GrayImage {
    // The plugin sends at most 499; up to here the sums fit into 32 bits.
    let radius = (width / 2).min(250) as usize;
    if radius == 0 || mask.is_empty() {
        return mask.clone();
    }
    let columns = mask.width() as usize;
    let height = mask.height() as usize;
    let area = ((radius + 1) * (radius + 1)) as i32;
    // Along rows: eight bits in, fifteen out.
    let mut first = vec![0_i32; mask.len()];
    rows::bands(&mut first, columns, |top, band| {
        let mut padded = vec![0; columns + 2 * radius + 2];
        let source = mask.as_raw()[top * columns..].chunks_exact(columns);
        for (from, to) in source.zip(band.chunks_exact_mut(columns)) {
            pad(&mut padded, radius, 1, from, i32::from);
            along(&padded, to, radius, area);
        }
    });
    // Along columns, all of them at once.
    let mut blurred = mask.clone();
    let share = (f64::from(area) * FRACTION).recip() as f32;
    rows::bands(&mut blurred, columns, |top, band| {
        let line = |y: isize| &first[mirror(y, height) * columns..][..columns];
        let mut sums = vec![0_i32; columns];
        let mut slopes = vec![0_i32; columns];
        let (top, reach) = (top as isize, radius as isize);
        for offset in -reach..=reach {
            let weight = (reach + 1 - offset.abs()) as i32;
            add(&mut sums, line(top + offset), |sum, value| sum + weight * value);
        }
        (1..=reach + 1).for_each(|offset| add(&mut slopes, line(top + offset), |slope, value| slope + value));
        (-reach..=0).for_each(|offset| add(&mut slopes, line(top + offset), |slope, value| slope - value));
        for (y, row) in (top..).zip(band.chunks_exact_mut(columns)) {
            let (enters, middle, leaves) = (line(y + reach + 2), line(y + 1), line(y - reach));
            for (x, out) in row.iter_mut().enumerate() {
                *out = (sums[x] as f32 * share + 0.5) as u8;
                sums[x] += slopes[x];
                slopes[x] += enters[x] + leaves[x] - 2 * middle[x];
            }
        }
    });
    blurred
}

/// Steps of a value after the first direction: as many as leave sums over the widest triangle within 31 bits.
const FRACTION: f64 = 128.0;

/// One row under the triangle: its sum changes by a slope, and the slope by three values.
fn along(padded: &[i32], row: &mut [i32], radius: usize, area: i32) {
    let weight = |place: usize| (radius + 1 - place.abs_diff(radius)) as i32;
    let mut sum: i32 = padded[..=2 * radius]
        .iter()
        .enumerate()
        .map(|(place, value)| weight(place) * value)
        .sum();
    let behind: i32 = padded[..=radius].iter().sum();
    let mut slope = padded[radius + 1..=2 * radius + 1].iter().sum::<i32>() - behind;
    let (share, last) = ((FRACTION / f64::from(area)) as f32, row.len() - 1);
    for (x, out) in row.iter_mut().enumerate() {
        *out = (sum as f32 * share + 0.5) as i32;
        sum += slope;
        if x < last {
            slope += padded[x + 2 * radius + 2] + padded[x] - 2 * padded[x + radius + 1];
        }
    }
}

fn add(sums: &mut [i32], line: &[i32], how: impl Fn(i32, i32) -> i32) {
    for (sum, value) in sums.iter_mut().zip(line) {
        *sum = how(*sum, *value);
    }
}

/// A row between its mirrored ends.
fn pad<T: Copy>(padded: &mut [T], radius: usize, channels: usize, row: &[u8], convert: impl Fn(u8) -> T) {
    let (start, columns) = (radius * channels, row.len() / channels);
    padded[start..]
        .iter_mut()
        .zip(row)
        .for_each(|(to, from)| *to = convert(*from));
    let places = padded.len() / channels;
    for place in (0..radius).chain(radius + columns..places) {
        let from = mirror(place as isize - radius as isize, columns) * channels;
        for channel in 0..channels {
            padded[place * channels + channel] = convert(row[from + channel]);
        }
    }
}

/// Half of a Gaussian's weights: the middle one first, all of them together 1.
pub(crate) fn gaussian(width: u32, sigma: f32) -> Vec<f32> {
    let radius = width / 2;
    let weight = |place: u32| (-0.5 * (f64::from(place) / f64::from(sigma)).powi(2)).exp();
    let sum = (1..=radius).map(|place| 2.0 * weight(place)).sum::<f64>() + weight(0);
    (0..=radius).map(|place| (weight(place) / sum) as f32).collect()
}

/// A separable blur of interleaved channels with half of a symmetric kernel.
pub(crate) fn convolve(data: &[u8], columns: usize, channels: usize, half: &[f32]) -> Vec<u8> {
    let line = columns * channels;
    if half.len() < 2 || data.is_empty() {
        return data.to_vec();
    }
    let (height, radius) = (data.len() / line, half.len() - 1);
    let mut first = vec![0_f32; data.len()];
    rows::bands(&mut first, line, |top, band| {
        let mut padded = vec![0_f32; line + 2 * radius * channels];
        for (row, out) in data[top * line..].chunks_exact(line).zip(band.chunks_exact_mut(line)) {
            pad(&mut padded, radius, channels, row, f32::from);
            weigh(out, half, |offset| {
                let shift = radius as isize + offset;
                &padded[shift as usize * channels..][..line]
            });
        }
    });
    let mut blurred = vec![0_u8; data.len()];
    rows::bands(&mut blurred, line, |top, band| {
        let mut sums = vec![0_f32; line];
        for (y, out) in (top as isize..).zip(band.chunks_exact_mut(line)) {
            weigh(&mut sums, half, |offset| {
                &first[mirror(y + offset, height) * line..][..line]
            });
            // Rounded by the cast: nothing is negative.
            out.iter_mut()
                .zip(&sums)
                .for_each(|(out, sum)| *out = (sum + 0.5) as u8);
        }
    });
    blurred
}

fn weigh<'a>(sums: &mut [f32], half: &[f32], line: impl Fn(isize) -> &'a [f32]) {
    sums.iter_mut()
        .zip(line(0))
        .for_each(|(sum, value)| *sum = half[0] * value);
    for (offset, weight) in (1..).zip(&half[1..]) {
        let (before, after) = (line(-offset), line(offset));
        for ((sum, before), after) in sums.iter_mut().zip(before).zip(after) {
            *sum += weight * (before + after);
        }
    }
}
