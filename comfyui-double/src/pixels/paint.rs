//! Stand-in pictures: smooth colours chosen by the seed and the words, with a banner that says so.

use std::f32::consts::TAU;
use std::hash::{DefaultHasher, Hash, Hasher};

use image::imageops::FilterType;

use super::font::{self, ADVANCE};
use super::picture::{Picture, rgb_image};

/// The lines of the banner.
const BANNER: [&str; 2] = ["ATELIER STAND-IN", "no model was used"];

/// Narrower pictures have no room for the banner.
const NARROWEST_WITH_BANNER: u32 = 96;
/// The long side of the field that is computed; it is smooth, so it may be stretched.
const FIELD: u32 = 56;

/// A number that stands for everything that a picture depends on.
pub(crate) fn fingerprint(of: impl Hash) -> u64 {
    // Keys are fixed, so that the same prompt gives the same picture in each process.
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Paints a picture for a fingerprint, banner included.
pub(crate) fn paint(fingerprint: u64, width: u32, height: u32) -> Picture {
    let mut picture = field(fingerprint, width, height);
    draw_banner(&mut picture);
    picture
}

/// The colours alone.
fn field(fingerprint: u64, width: u32, height: u32) -> Picture {
    let mut dice = Dice(fingerprint);
    let long = width.max(height).max(1);
    let columns = (width * FIELD).div_ceil(long).clamp(2, width.max(2));
    let rows = (height * FIELD).div_ceil(long).clamp(2, height.max(2));

    let waves: [[f32; 4]; 3] = std::array::from_fn(|_| {
        let (angle, pitch) = (dice.roll() * TAU, 2.0 + 5.0 * dice.roll());
        [
            angle.cos() * pitch,
            angle.sin() * pitch,
            dice.roll() * TAU,
            0.4 + dice.roll(),
        ]
    });
    let balls: [[f32; 3]; 3] = std::array::from_fn(|_| [dice.roll(), dice.roll(), 0.02 + 0.08 * dice.roll()]);
    let palette = palette(&mut dice);

    let mut rgb = Vec::with_capacity((columns * rows * 3) as usize);
    let mut y = 0;
    while y < rows {
        let mut x = 0;
        while x < columns {
            let (u, v) = (x as f32 / FIELD as f32, y as f32 / FIELD as f32);
            let mut sum = 0.0;
            for [along, down, phase, weight] in waves {
                sum += weight * (u * along + v * down + phase).sin();
            }
            for [ball_x, ball_y, size] in balls {
                let distance = (u - ball_x) * (u - ball_x) + (v - ball_y) * (v - ball_y);
                sum += size / (distance + 0.03);
            }
            // Back and forth through the palette, so that no edge shows.
            let place = (0.5 - 0.5 * (sum * 1.1).cos()) * (palette.len() - 1) as f32;
            let stop = (place as usize).min(palette.len() - 2);
            let share = place - stop as f32;
            let (from, to) = (palette[stop], palette[stop + 1]);
            let mut part = 0;
            while part < 3 {
                rgb.push((from[part] + (to[part] - from[part]) * share) as u8);
                part += 1;
            }
            x += 1;
        }
        y += 1;
    }
    let stretched = rgb_image(columns, rows, rgb).resize_exact(width, height, FilterType::Triangle);
    Picture {
        width,
        height,
        rgb: stretched.into_rgb8().into_raw(),
        alpha: None,
    }
}

/// Four colours from dark to light: neighbours of one hue, and one accent across the circle.
fn palette(dice: &mut Dice) -> [[f32; 3]; 4] {
    let hue = dice.roll();
    let accent = hue + 0.35 + 0.3 * dice.roll();
    [
        color(hue, 0.55, 0.16),
        color(hue + 0.08, 0.55, 0.40),
        color(accent, 0.60, 0.62),
        color(accent + 0.10, 0.60, 0.87),
    ]
}

/// A colour from hue, saturation and lightness, each 0 to 1.
fn color(hue: f32, saturation: f32, lightness: f32) -> [f32; 3] {
    let reach = saturation * lightness.min(1.0 - lightness);
    [0.0, 8.0, 4.0].map(|shift| {
        let k = (shift + hue * 12.0).rem_euclid(12.0);
        255.0 * (lightness - reach * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0))
    })
}

/// Writes the banner over the lower edge; small pictures have none.
pub(crate) fn draw_banner(picture: &mut Picture) {
    if picture.width < NARROWEST_WITH_BANNER {
        return;
    }
    let width = picture.width as usize;
    let longest = BANNER.iter().map(|line| line.len()).max().unwrap_or_default() * ADVANCE;
    let height = picture.height as usize;
    let strip_of = |scale: usize| ((font::HEIGHT + 3) * BANNER.len() + 3) * scale;
    // No more than half of the picture.
    let scale = (width * 3 / 4 / longest).max(1).min(height / (2 * strip_of(1))).min(12);
    if scale == 0 {
        return;
    }
    let (line, strip) = ((font::HEIGHT + 3) * scale, strip_of(scale));
    let top = height - strip;
    let mut index = top * width * 3;
    let pixels = picture.rgb.as_mut_slice();
    while index < pixels.len() {
        pixels[index] /= 3;
        index += 1;
    }
    for (row, text) in BANNER.iter().enumerate() {
        let left = (width.saturating_sub(text.len() * ADVANCE * scale)) / 2;
        draw_text(pixels, width, text, (left, top + 3 * scale + row * line), scale);
    }
}

fn draw_text(pixels: &mut [u8], width: usize, text: &str, (left, top): (usize, usize), scale: usize) {
    for (column, character) in text.chars().enumerate() {
        for (row, bits) in font::glyph(character).into_iter().enumerate() {
            for bit in 0..5 {
                if bits & (0b1_0000 >> bit) == 0 {
                    continue;
                }
                let x = left + (column * ADVANCE + bit) * scale;
                for line in 0..scale {
                    let start = ((top + row * scale + line) * width + x) * 3;
                    if let Some(dots) = pixels.get_mut(start..start + scale * 3) {
                        dots.fill(240);
                    }
                }
            }
        }
    }
}

/// Splitmix64: numbers from 0 to 1 that follow from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 40) as f32 / 16_777_216.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_decides_the_picture() {
        assert_eq!(paint(1, 128, 96), paint(1, 128, 96));
        assert_ne!(paint(1, 128, 96), paint(2, 128, 96));
        assert_eq!(fingerprint(("a", 1)), fingerprint(("a", 1)));
        assert_ne!(fingerprint(("a", 1)), fingerprint(("a", 2)));
    }

    #[test]
    fn the_banner_has_its_letters() {
        for character in BANNER.concat().chars().filter(|c| *c != ' ') {
            assert_ne!(font::glyph(character), [0; font::HEIGHT], "{character}");
        }
    }

    #[test]
    fn every_size_works_and_only_wide_ones_have_the_banner() {
        for (width, height) in [(1, 1), (8, 8), (95, 400), (96, 96), (97, 20), (2000, 64), (64, 2000)] {
            let picture = paint(7, width, height);
            assert_eq!(picture.rgb.len(), (width * height * 3) as usize);
            let has_banner = picture.rgb.chunks(3).any(|pixel| pixel == [240; 3]);
            assert_eq!(has_banner, width >= 96 && height >= 60, "{width}x{height}");
        }
    }
}
