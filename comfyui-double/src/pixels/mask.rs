//! Masks as bytes. As for pictures, loops run over plain slices for the sake of dev builds.

use image::imageops::FilterType;
use image::{DynamicImage, GrayImage};

use super::cut::Cut;

/// One value per pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mask {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) data: Vec<u8>,
}

impl Mask {
    pub(crate) fn plain(width: u32, height: u32, value: u8) -> Self {
        Self {
            width,
            height,
            data: vec![value; width as usize * height as usize],
        }
    }

    pub(super) fn to_image(&self) -> DynamicImage {
        let image = GrayImage::from_raw(self.width, self.height, self.data.clone()).unwrap_or_default();
        DynamicImage::ImageLuma8(image)
    }

    pub(crate) fn resize(&self, width: u32, height: u32) -> Self {
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        let image = self.to_image().resize_exact(width, height, FilterType::Triangle);
        Self {
            width,
            height,
            data: image.into_luma8().into_raw(),
        }
    }

    pub(crate) fn crop(&self, cut: Cut) -> Self {
        let image = self.to_image().crop_imm(cut.x, cut.y, cut.width, cut.height);
        Self {
            width: cut.width,
            height: cut.height,
            data: image.into_luma8().into_raw(),
        }
    }

    /// Applies a function to each value, by way of a table.
    pub(crate) fn map(&self, change: impl Fn(u8) -> u8) -> Self {
        let table: Vec<u8> = (0..=255).map(change).collect();
        let mut data = self.data.clone();
        let mut index = 0;
        while index < data.len() {
            data[index] = table[data[index] as usize];
            index += 1;
        }
        Self { data, ..self.clone() }
    }

    pub(crate) fn invert(&self) -> Self {
        self.map(|value| 255 - value)
    }

    /// Grows (or shrinks, if negative) by a square.
    pub(crate) fn grow(&self, by: i64) -> Self {
        if by < 0 {
            return self.invert().grow(-by).invert();
        }
        let mut grown = self.clone();
        let mut left = by.min(i64::from(self.width.max(self.height)));
        // Squares add up: steps of doubling size need few passes.
        let mut step = 1;
        while left > 0 {
            let now = step.min(left);
            grown = grown.spread(now as usize, true).spread(now as usize, false);
            left -= now;
            step *= 2;
        }
        grown
    }

    /// The maximum of each value and its two neighbours at a distance, along an axis. Doubling
    /// distances leave no gap, as each is at most one more than the reach so far.
    fn spread(&self, distance: usize, across: bool) -> Self {
        let (width, height) = (self.width as usize, self.height as usize);
        let step = if across { distance } else { distance * width };
        let source = self.data.as_slice();
        let mut data = self.data.clone();
        let mut index = 0;
        while index < data.len() {
            let at = if across { index % width } else { index / width };
            let size = if across { width } else { height };
            if at >= distance && source[index - step] > data[index] {
                data[index] = source[index - step];
            }
            if at + distance < size && source[index + step] > data[index] {
                data[index] = source[index + step];
            }
            index += 1;
        }
        Self { data, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_grows_by_a_square_and_shrinks_back() {
        let mut mask = Mask::plain(40, 40, 0);
        mask.data[20 * 40 + 20] = 255;
        for by in [1, 2, 5, 7] {
            let grown = mask.grow(by);
            let side = 2 * by as usize + 1;
            assert_eq!(
                grown.data.iter().map(|value| usize::from(*value)).sum::<usize>(),
                255 * side * side,
                "{by}"
            );
            assert_eq!(grown.grow(-by), mask, "{by}");
        }
    }
}
