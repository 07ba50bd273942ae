//! Words on a picture.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use image::{Rgb, RgbImage};

static FILE: &[u8] = include_bytes!("../font/DejaVuSans.ttf");
static FONT: LazyLock<Option<FontRef<'static>>> = LazyLock::new(|| FontRef::try_from_slice(FILE).ok());

/// Height of a letter, pixels.
const HEIGHT: f32 = 15.0;
/// From one line to the next.
const LINE: u32 = 18;
/// Lines of a label.
const LINES: usize = 2;

/// Writes at most two lines of text from this place on, none wider than `width`; what does not fit is cut.
pub(crate) fn write(picture: &mut RgbImage, text: &str, (left, top): (u32, u32), width: u32, ink: Rgb<u8>) {
    let Some(font) = FONT.as_ref() else { return };
    for (line, number) in lines(font, text, width as f32).iter().zip(0_u32..) {
        write_line(picture, font, line, (left, top + number * LINE), width, ink);
    }
}

fn advance(font: &FontRef<'_>, letter: char) -> f32 {
    let scaled = font.as_scaled(PxScale::from(HEIGHT));
    scaled.h_advance(scaled.glyph_id(letter))
}

fn wide(font: &FontRef<'_>, text: &str) -> f32 {
    text.chars().map(|letter| advance(font, letter)).sum()
}

/// The text in lines that fit, broken between words where that is possible.
fn lines(font: &FontRef<'_>, text: &str, width: f32) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let longer = if lines[last].is_empty() {
            word.to_owned()
        } else {
            format!("{} {word}", lines[last])
        };
        if wide(font, &longer) <= width || lines[last].is_empty() {
            lines[last] = longer;
        } else {
            lines.push(word.to_owned());
        }
        if lines.len() > LINES {
            break;
        }
    }
    let is_whole = lines.len() <= LINES;
    lines.truncate(LINES);
    if let Some(last) = lines.last_mut()
        && !is_whole
    {
        last.push('…');
    }
    lines.into_iter().map(|line| cut(font, line, width)).collect()
}

fn cut(font: &FontRef<'_>, mut line: String, width: f32) -> String {
    if wide(font, &line) <= width {
        return line;
    }
    while !line.is_empty() && wide(font, &line) + advance(font, '…') > width {
        line.pop();
    }
    line.push('…');
    line
}

fn write_line(
    picture: &mut RgbImage,
    font: &FontRef<'_>,
    line: &str,
    (left, top): (u32, u32),
    width: u32,
    ink: Rgb<u8>,
) {
    let scale = PxScale::from(HEIGHT);
    let scaled = font.as_scaled(scale);
    let mut at = left as f32;
    for letter in line.chars() {
        let glyph = scaled
            .glyph_id(letter)
            .with_scale_and_position(scale, point(at, top as f32 + scaled.ascent()));
        at += advance(font, letter);
        let Some(outline) = font.outline_glyph(glyph) else {
            continue;
        };
        let bounds = outline.px_bounds();
        outline.draw(|x, y, share| {
            let (x, y) = (bounds.min.x + x as f32, bounds.min.y + y as f32);
            // A letter may reach beyond its own width.
            let inside = x >= left as f32 && x < (left + width) as f32 && y >= top as f32;
            let place = (x as u32, y as u32);
            if inside && let Some(pixel) = picture.get_pixel_mut_checked(place.0, place.1) {
                for (to, from) in pixel.0.iter_mut().zip(ink.0) {
                    let mixed = f32::from(*to) + (f32::from(from) - f32::from(*to)) * share.clamp(0.0, 1.0);
                    *to = mixed as u8;
                }
            }
        });
    }
}
