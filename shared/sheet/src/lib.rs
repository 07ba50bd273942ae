//! A contact sheet: small pictures side by side with labels, as one picture. Pure.
//!
//! The font is DejaVu Sans (`font/LICENSE`), which has Latin, Greek, Cyrillic and many signs; what it has not is drawn as a box.

mod text;

use image::{Rgb, RgbImage, imageops};

/// Side of a picture's place, pixels.
const SIDE: u32 = 256;
/// Between two places, and around all of them.
const GAP: u32 = 12;
/// Height of a label: two lines.
const LABEL: u32 = 40;
const PAPER: Rgb<u8> = Rgb([255, 255, 255]);
const INK: Rgb<u8> = Rgb([27, 31, 36]);
const EMPTY: Rgb<u8> = Rgb([228, 226, 220]);

/// One place of a sheet.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    /// What stands below, cut to two lines.
    pub label: &'a str,
    /// The picture, of any size; none: its place says so.
    pub picture: Result<&'a RgbImage, &'a str>,
}

/// Draws the sheet: about as wide as high, in the order of the cells. Without cells it is an empty sheet of paper.
pub fn draw(cells: &[Cell<'_>]) -> RgbImage {
    let (columns, lines) = shape(cells.len());
    let width = GAP + columns * (SIDE + GAP);
    let height = GAP + lines * (SIDE + LABEL + GAP);
    let mut sheet = RgbImage::from_pixel(width, height, PAPER);
    for (cell, number) in cells.iter().zip(0_u32..) {
        let left = GAP + number % columns * (SIDE + GAP);
        let top = GAP + number / columns * (SIDE + LABEL + GAP);
        match cell.picture {
            Ok(picture) => put(&mut sheet, picture, left, top),
            Err(words) => {
                for (x, y) in (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (x, y))) {
                    sheet.put_pixel(left + x, top + y, EMPTY);
                }
                text::write(&mut sheet, words, (left + 8, top + SIDE / 2 - 16), SIDE - 16, INK);
            }
        }
        text::write(&mut sheet, cell.label, (left, top + SIDE + 4), SIDE, INK);
    }
    sheet
}

/// Columns and lines for so many cells.
fn shape(cells: usize) -> (u32, u32) {
    let cells = u32::try_from(cells).unwrap_or(u32::MAX).max(1);
    let root = cells.isqrt();
    let columns = if root * root < cells { root + 1 } else { root };
    (columns, cells.div_ceil(columns))
}

/// Puts the picture in the middle of its place, as large as it may be; a smaller one is not enlarged.
fn put(sheet: &mut RgbImage, picture: &RgbImage, left: u32, top: u32) {
    let (width, height) = picture.dimensions();
    if width == 0 || height == 0 {
        return;
    }
    let longest = width.max(height);
    let (wide, high) = if longest > SIDE {
        let side = |it: u32| (u64::from(it) * u64::from(SIDE) / u64::from(longest)).max(1);
        (side(width), side(height))
    } else {
        (u64::from(width), u64::from(height))
    };
    let small = imageops::thumbnail(
        picture,
        u32::try_from(wide).unwrap_or(SIDE),
        u32::try_from(high).unwrap_or(SIDE),
    );
    let middle = |at: u32, size: u32| i64::from(at + (SIDE - size.min(SIDE)) / 2);
    imageops::overlay(sheet, &small, middle(left, small.width()), middle(top, small.height()));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dark(sheet: &RgbImage, (left, top): (u32, u32), (width, height): (u32, u32)) -> usize {
        let inside = (top..top + height).flat_map(|y| (left..left + width).map(move |x| (x, y)));
        inside.filter(|(x, y)| sheet.get_pixel(*x, *y).0[0] < 128).count()
    }

    #[test]
    fn each_has_its_place_and_its_label() {
        let red = RgbImage::from_pixel(512, 256, Rgb([200, 0, 0]));
        let cells = [
            Cell {
                label: "seed 1",
                picture: Ok(&red),
            },
            Cell {
                label: "",
                picture: Ok(&red),
            },
            Cell {
                label: "Übergröße · 雪",
                picture: Err("failed"),
            },
        ];
        let sheet = draw(&cells);
        assert_eq!(sheet.dimensions(), (2 * 268 + 12, 2 * 308 + 12));
        // A wide picture is in the middle of its place.
        assert_eq!(sheet.get_pixel(GAP + 128, GAP + 128).0, [200, 0, 0]);
        assert_eq!(sheet.get_pixel(GAP + 128, GAP + 20), &PAPER);
        let label = |column: u32, line: u32| (GAP + column * 268, GAP + line * 308 + SIDE + 4);
        assert!(dark(&sheet, label(0, 0), (SIDE, LABEL - 4)) > 50);
        assert_eq!(dark(&sheet, label(1, 0), (SIDE, LABEL - 4)), 0);
        assert!(
            dark(&sheet, label(0, 1), (SIDE, LABEL - 4)) > 100,
            "what the font has not is a box"
        );
        assert_eq!(sheet.get_pixel(GAP + 2, GAP + 308 + 2), &EMPTY);
        assert!(dark(&sheet, (GAP, GAP + 308), (SIDE, SIDE)) > 50, "why there is none");
    }

    #[test]
    fn the_largest_group_is_one_sheet() {
        let small = RgbImage::from_pixel(64, 64, Rgb([0, 0, 200]));
        let cells = vec![
            Cell {
                label: "a label",
                picture: Ok(&small)
            };
            96
        ];
        assert_eq!(draw(&cells).dimensions(), (10 * 268 + 12, 10 * 308 + 12));
    }

    proptest! {
        #[test]
        fn nothing_that_is_written_leaves_its_place(label in "\\PC{0,200}", width in 0_u32..600, height in 0_u32..600) {
            let picture = RgbImage::from_pixel(width, height, Rgb([0, 200, 0]));
            let sheet = draw(&[Cell { label: &label, picture: Ok(&picture) }]);
            prop_assert_eq!(sheet.dimensions(), (SIDE + 2 * GAP, SIDE + LABEL + 2 * GAP));
            for y in 0..sheet.height() {
                for x in [0, 1, 2, sheet.width() - 1] {
                    prop_assert_eq!(sheet.get_pixel(x, y), &PAPER);
                }
            }
        }
    }
}
