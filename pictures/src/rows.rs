//! Rows of a picture, shared out over the cores.

use std::{num::NonZero, thread};

/// Below so many values another thread costs more than it brings.
const WORTH_A_THREAD: usize = 1 << 18;
const MAX_THREADS: usize = 8;

/// Calls `make` for each row of `data`, with its number.
pub(crate) fn each<T: Send>(data: &mut [T], row: usize, make: impl Fn(usize, &mut [T]) + Sync) {
    bands(data, row, |first, band| {
        for (number, row) in band.chunks_exact_mut(row).enumerate() {
            make(first + number, row);
        }
    });
}

/// Calls `make` for each element, which stands for a row of so many values.
pub(crate) fn each_of<T: Send>(data: &mut [T], values: usize, make: impl Fn(usize, &mut T) + Sync) {
    share_out(data, 1, data.len().saturating_mul(values), |first, band| {
        for (number, element) in band.iter_mut().enumerate() {
            make(first + number, element);
        }
    });
}

/// Calls `make` for bands of whole rows, with the number of their first row.
pub(crate) fn bands<T: Send>(data: &mut [T], row: usize, make: impl Fn(usize, &mut [T]) + Sync) {
    share_out(data, row, data.len(), make);
}

fn share_out<T: Send>(data: &mut [T], row: usize, values: usize, make: impl Fn(usize, &mut [T]) + Sync) {
    if row == 0 || data.is_empty() {
        return;
    }
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(MAX_THREADS).min(values / WORTH_A_THREAD).max(1);
    if threads == 1 {
        make(0, data);
        return;
    }
    let rows = (data.len() / row).div_ceil(threads);
    thread::scope(|scope| {
        for (number, band) in data.chunks_mut(rows * row).enumerate() {
            let make = &make;
            scope.spawn(move || make(number * rows, band));
        }
    });
}

/// The place within 0..length that a mirrored edge shows: … 2 1 0 1 2 …
pub(crate) fn mirror(place: isize, length: usize) -> usize {
    if length < 2 {
        return 0;
    }
    let period = 2 * (length - 1);
    let folded = place.rem_euclid(period as isize) as usize;
    folded.min(period - folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_mirrors() {
        let seen: Vec<_> = (-4..7).map(|place| mirror(place, 3)).collect();
        assert_eq!(seen, [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]);
        assert_eq!(mirror(-7, 1), 0);
    }

    #[test]
    fn every_row_is_made_once() {
        let mut data = vec![0_u32; 1_000 * 1_001];
        each(&mut data, 1_000, |number, row| {
            for value in row {
                *value += number as u32;
            }
        });
        assert!(
            data.chunks(1_000)
                .enumerate()
                .all(|(number, row)| row.iter().all(|value| *value == number as u32))
        );
    }
}
