//! Rectangles.

use super::extent::Extent;
use crate::{plan::Operation, refusal::Refusal};

/// A rectangle within a picture, not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rect {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) extent: Extent,
}

impl Rect {
    pub(crate) fn parse(what: &str, [x, y, width, height]: [i64; 4], within: Extent) -> Result<Self, Refusal> {
        let inside = |start: i64, length: i64, whole: u32| {
            start >= 0 && length >= 1 && start.checked_add(length).is_some_and(|end| end <= i64::from(whole))
        };
        if inside(x, width, within.width()) && inside(y, height, within.height()) {
            return Ok(Self {
                x: x as u32,
                y: y as u32,
                extent: Extent::new(width as u32, height as u32),
            });
        }
        Err(Refusal::new(format!(
            "the {what} {width}x{height} at {x}, {y} lies outside of {}x{} pixels. Try again.",
            within.width(),
            within.height()
        )))
    }

    pub(crate) fn array(self) -> [u32; 4] {
        [self.x, self.y, self.extent.width(), self.extent.height()]
    }

    pub(crate) fn crop(self) -> Operation {
        Operation::Crop {
            bounds: self.array(),
            only: None,
        }
    }

    /// Where this lies when `from` is scaled to `to`: each number rounded by itself, halves to even, within `to`.
    pub(crate) fn convert(self, from: Extent, to: Extent) -> Self {
        let scale = |value: u32, from: u32, to: u32| {
            (f64::from(value) * f64::from(to) / f64::from(from)).round_ties_even() as u32
        };
        let axis = |start: u32, length: u32, from: u32, to: u32| {
            let start = scale(start, from, to).min(to - 1);
            (start, scale(length, from, to).clamp(1, to - start))
        };
        let (x, width) = axis(self.x, self.extent.width(), from.width(), to.width());
        let (y, height) = axis(self.y, self.extent.height(), from.height(), to.height());
        Self {
            x,
            y,
            extent: Extent::new(width, height),
        }
    }
}
