//! Colours continued into a selection from around it.

use crate::rows;
use image::{GrayImage, RgbImage};

/// Red, green and blue times weight, and the weight.
type Cell = [f32; 4];

struct Level {
    width: usize,
    height: usize,
    cells: Vec<Cell>,
}

/// The picture with its selection made of the colours around. Each level of a pyramid averages what is known four to
/// one, until all is known; on the way back what is unknown takes the smooth coarse colour ("pull-push"). Near the rim
/// that is the rim's colour, far inside the mean of what lies around.
pub(crate) fn continue_inwards(picture: &RgbImage, selected: &GrayImage) -> RgbImage {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let (known, selected) = (picture.as_raw(), selected.as_raw());
    let pixel = |x: usize, y: usize| -> Cell {
        let at = y * width + x;
        if selected[at] > 0 {
            return [0.0; 4];
        }
        let [red, green, blue] = [0, 1, 2].map(|channel| f32::from(known[at * 3 + channel]));
        [red, green, blue, 1.0]
    };
    let mut levels = vec![pull(width, height, pixel)];
    while let Some(last) = levels.last().filter(|last| last.cells.len() > 1) {
        let next = pull(last.width, last.height, |x, y| last.cells[y * last.width + x]);
        levels.push(next);
    }
    while levels.len() > 1 {
        let Some(coarse) = levels.pop() else { break };
        if let Some(fine) = levels.last_mut() {
            push(&coarse, fine);
        }
    }
    let mut filled = picture.clone();
    if let Some(half) = levels.pop() {
        rows::each(&mut filled, width * 3, |y, row| {
            let line = selected.chunks_exact(width).nth(y).unwrap_or_default();
            for (x, (pixel, selected)) in row.chunks_exact_mut(3).zip(line).enumerate() {
                if *selected > 0 {
                    let colour = smooth(&half, x, y);
                    pixel
                        .iter_mut()
                        .zip(colour)
                        .for_each(|(to, from)| *to = (from + 0.5) as u8);
                }
            }
        });
    }
    filled
}

/// Half the size: the mean of what is known of each four, known itself as soon as one is.
fn pull(width: usize, height: usize, cell: impl Fn(usize, usize) -> Cell + Sync) -> Level {
    let (columns, lines) = (width.div_ceil(2), height.div_ceil(2));
    let mut cells = vec![[0.0; 4]; columns * lines];
    rows::each(&mut cells, columns, |y, row| {
        for (x, out) in row.iter_mut().enumerate() {
            for (x, y) in [
                (2 * x, 2 * y),
                (2 * x + 1, 2 * y),
                (2 * x, 2 * y + 1),
                (2 * x + 1, 2 * y + 1),
            ] {
                if x < width && y < height {
                    let cell = cell(x, y);
                    out.iter_mut().zip(cell).for_each(|(sum, value)| *sum += value);
                }
            }
            if out[3] > 1.0 {
                let weight = out[3];
                *out = out.map(|value| value / weight);
            }
        }
    });
    Level {
        width: columns,
        height: lines,
        cells,
    }
}

/// Fills up what the finer level does not know.
fn push(coarse: &Level, fine: &mut Level) {
    let width = fine.width;
    rows::each(&mut fine.cells, width, |y, row| {
        for (x, cell) in row.iter_mut().enumerate() {
            let missing = 1.0 - cell[3];
            if missing > 0.0 {
                let colour = smooth(coarse, x, y);
                for (value, colour) in cell.iter_mut().zip(colour) {
                    *value += missing * colour;
                }
                cell[3] = 1.0;
            }
        }
    });
}

/// The colour of a coarse level at a pixel of the next finer one: bilinear. Unknown is black, if all is.
fn smooth(coarse: &Level, x: usize, y: usize) -> [f32; 3] {
    // A fine pixel's middle lies a quarter of a coarse one beside the coarse middle.
    let neighbour = |at: usize, length: usize| {
        let near = at / 2;
        let far = if at.is_multiple_of(2) {
            near.saturating_sub(1)
        } else {
            near + 1
        };
        (near.min(length - 1), far.min(length - 1))
    };
    let (near_x, far_x) = neighbour(x, coarse.width);
    let (near_y, far_y) = neighbour(y, coarse.height);
    let at = |x: usize, y: usize| coarse.cells[y * coarse.width + x];
    let corners = [
        (at(near_x, near_y), 9.0),
        (at(far_x, near_y), 3.0),
        (at(near_x, far_y), 3.0),
        (at(far_x, far_y), 1.0),
    ];
    let weight: f32 = corners.iter().map(|(cell, share)| cell[3] * share).sum();
    [0, 1, 2].map(|channel| {
        let sum: f32 = corners.iter().map(|(cell, share)| cell[channel] * share).sum();
        if weight > 0.0 { sum / weight } else { 0.0 }
    })
}
