//! Dilation and erosion of black-and-white masks by squares, at a cost that does not depend on the square.

use crate::rows;
use image::GrayImage;

/// Every pixel within `distance` rows and columns of a white one becomes white; outside of the picture nothing is.
pub(crate) fn dilate(mask: &mut GrayImage, distance: u32) {
    let distance = distance.min(u32::from(u16::MAX) - 1) as u16;
    let width = mask.width() as usize;
    if distance == 0 || width == 0 {
        return;
    }
    rows::each(mask, width, |_, row| along(row, distance));
    across(mask, width, distance);
}

/// As [`dilate`] with black and white exchanged: outside of the picture everything counts as white.
pub(crate) fn erode(mask: &mut GrayImage, distance: u32) {
    let not = |mask: &mut GrayImage| mask.iter_mut().for_each(|value| *value = !*value);
    if distance > 0 {
        not(mask);
        dilate(mask, distance);
        not(mask);
    }
}

fn along(row: &mut [u8], distance: u16) {
    let mut since = u16::MAX;
    let reach: Vec<bool> = row
        .iter()
        .map(|value| {
            since = if *value > 0 { 0 } else { since.saturating_add(1) };
            since <= distance
        })
        .collect();
    since = u16::MAX;
    for (value, reached) in row.iter_mut().zip(reach).rev() {
        since = if *value > 0 { 0 } else { since.saturating_add(1) };
        *value = white(reached || since <= distance);
    }
}

/// All columns at once, a row at a time, which is how memory likes it.
fn across(mask: &mut [u8], width: usize, distance: u16) {
    let mut below = vec![0_u8; mask.len()];
    let mut since = vec![u16::MAX; width];
    for (row, reached) in mask.chunks_exact(width).zip(below.chunks_exact_mut(width)).rev() {
        for ((value, since), reached) in row.iter().zip(&mut since).zip(reached) {
            *since = if *value > 0 { 0 } else { since.saturating_add(1) };
            *reached = white(*since <= distance);
        }
    }
    since.fill(u16::MAX);
    for (row, reached) in mask.chunks_exact_mut(width).zip(below.chunks_exact(width)) {
        for ((value, since), reached) in row.iter_mut().zip(&mut since).zip(reached) {
            *since = if *value > 0 { 0 } else { since.saturating_add(1) };
            *value = *reached | white(*since <= distance);
        }
    }
}

fn white(yes: bool) -> u8 {
    if yes { u8::MAX } else { 0 }
}
