//! A picture's colours pulled towards those of another one.

use crate::{Mismatch, rows};
use image::{GrayImage, RgbImage};
use std::sync::LazyLock;

/// Half is selected.
const HALF: u8 = 128;
/// The reference white of sRGB, D65.
const WHITE: [f32; 3] = [0.950_47, 1.0, 1.088_83];
/// Above so many pixels every other row and column says enough of mean and deviation.
const MANY: u32 = 1 << 20;

/// sRGB values as light.
static LIGHT: LazyLock<[f32; 256]> = LazyLock::new(|| {
    std::array::from_fn(|value| {
        let value = value as f32 / 255.0;
        if value <= 0.040_45 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    })
});

/// Light as sRGB values.
static SRGB: LazyLock<Vec<f32>> = LazyLock::new(|| {
    table(|light| {
        255.0
            * if light <= 0.003_130_8 {
                light * 12.92
            } else {
                1.055 * light.powf(1.0 / 2.4) - 0.055
            }
    })
});

/// The cube root of Lab, with its straight part near 0.
static ROOT: LazyLock<Vec<f32>> = LazyLock::new(|| {
    table(|share| {
        if share > 216.0 / 24_389.0 {
            share.cbrt()
        } else {
            (24_389.0 / 27.0 * share + 16.0) / 116.0
        }
    })
});

/// So fine that between two steps, even where the curves are steepest, lies a twentieth of an 8-bit value.
fn table(curve: impl Fn(f32) -> f32) -> Vec<f32> {
    (0..=u16::MAX)
        .map(|step| curve(f32::from(step) / f32::from(u16::MAX)))
        .collect()
}

fn look_up(table: &[f32], value: f32) -> f32 {
    // The cast keeps to the table's ends.
    table[usize::from((value * f32::from(u16::MAX) + 0.5) as u16)]
}

fn lab(pixel: &[u8], light: &[f32; 256], root: &[f32]) -> [f32; 3] {
    let [red, green, blue] = [0, 1, 2].map(|channel| light[usize::from(pixel[channel])]);
    // The matrix of sRGB, over the reference white.
    let xyz = [
        (0.412_456_4 * red + 0.357_576_1 * green + 0.180_437_5 * blue) / WHITE[0],
        0.212_672_9 * red + 0.715_152_2 * green + 0.072_175 * blue,
        (0.019_333_9 * red + 0.119_192 * green + 0.950_304_1 * blue) / WHITE[2],
    ];
    let [x, y, z] = xyz.map(|share| look_up(root, share));
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

fn rgb([lightness, reddish, yellowish]: [f32; 3], srgb: &[f32]) -> [f32; 3] {
    let middle = (lightness + 16.0) / 116.0;
    let cube = |root: f32| {
        if root > 6.0 / 29.0 {
            root * root * root
        } else {
            (116.0 * root - 16.0) * 27.0 / 24_389.0
        }
    };
    let x = cube(middle + reddish / 500.0) * WHITE[0];
    let y = cube(middle);
    let z = cube(middle - yellowish / 200.0) * WHITE[2];
    [
        3.240_454_2 * x - 1.537_138_5 * y - 0.498_531_4 * z,
        -0.969_266 * x + 1.876_010_8 * y + 0.041_556 * z,
        0.055_643_4 * x - 0.204_025_9 * y + 1.057_225_2 * z,
    ]
    .map(|light| look_up(srgb, light))
}

/// Mean and deviation of each channel.
type Statistics = [(f32, f32); 3];

/// The picture with mean and deviation of each channel of CIE Lab as in `reference`, as far as `strength` says (0 to 1).
/// Both are measured with the selection (a half and more) set to black.
pub fn match_colours(
    picture: &RgbImage,
    reference: &RgbImage,
    mask: &GrayImage,
    strength: f32,
) -> Result<RgbImage, Mismatch> {
    Mismatch::check(reference.dimensions(), picture.dimensions())?;
    Mismatch::check(mask.dimensions(), picture.dimensions())?;
    let mut matched = picture.clone();
    if strength <= 0.0 || picture.is_empty() {
        return Ok(matched);
    }
    let (light, root, srgb) = (&*LIGHT, &**ROOT, &**SRGB);
    let (is, wanted) = (measure(picture, mask), measure(reference, mask));
    let scales: Vec<_> = (is.iter().zip(&wanted))
        .map(|((_, is), (_, wanted))| if *is > 1e-6 { wanted / is } else { 1.0 })
        .collect();
    rows::each(&mut matched, picture.width() as usize * 3, |_, row| {
        for pixel in row.chunks_exact_mut(3) {
            let mut colour = lab(pixel, light, root);
            for (channel, value) in colour.iter_mut().enumerate() {
                *value = (*value - is[channel].0) * scales[channel] + wanted[channel].0;
            }
            for (value, wanted) in pixel.iter_mut().zip(rgb(colour, srgb)) {
                let was = f32::from(*value);
                *value = (was + (wanted - was) * strength + 0.5) as u8;
            }
        }
    });
    Ok(matched)
}

fn measure(picture: &RgbImage, mask: &GrayImage) -> Statistics {
    let (light, root) = (&*LIGHT, &**ROOT);
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let step = if width * height > MANY as usize { 2 } else { 1 };
    let (colours, mask) = (picture.as_raw(), mask.as_raw());
    // Each row's sums and sums of squares by itself, so that rows can be shared out and nothing loses digits.
    let mut sums = vec![[0_f64; 6]; height.div_ceil(step)];
    rows::each_of(&mut sums, width, |y, sums| {
        let start = y * step * width;
        let mut row = [0_f32; 6];
        for x in (start..start + width).step_by(step).filter(|at| mask[*at] < HALF) {
            for (channel, value) in lab(&colours[x * 3..][..3], light, root).into_iter().enumerate() {
                row[channel] += value;
                row[channel + 3] += value * value;
            }
        }
        *sums = row.map(f64::from);
    });
    let all = sums
        .iter()
        .fold([0_f64; 6], |all, row| std::array::from_fn(|at| all[at] + row[at]));
    let count = (sums.len() * width.div_ceil(step)) as f64;
    [0, 1, 2].map(|channel| {
        let mean = all[channel] / count;
        let variance = (all[channel + 3] / count - mean * mean).max(0.0);
        (mean as f32, variance.sqrt() as f32)
    })
}
