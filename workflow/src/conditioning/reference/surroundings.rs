//! What there is to see of the canvas around a selection.

use super::shown::SEEN;
use crate::check::{Extent, Rect};

/// What a selection that spans the canvas leaves over, if that is worth looking at.
pub(super) fn rest(bounds: Rect, canvas: Extent) -> Option<Rect> {
    const CELL: u32 = 8;
    // Start and end of the rest of an axis, of which the selection touches one end.
    let axis = |start: u32, length: u32, side: u32| {
        let from = start / CELL * CELL;
        let to = (start + length).next_multiple_of(CELL).min(side);
        match (from, to) {
            (0, to) => Some((to, side)),
            (from, to) if to == side => Some((0, from)),
            _ => None,
        }
        .filter(|(from, to)| to.saturating_sub(*from) > SEEN.width())
    };
    let spans = |start: u32, length: u32, side: u32| start < CELL && start + length + CELL > side;
    let ([x, y, width, height], [canvas_width, canvas_height]) = (bounds.array(), canvas.sides());
    if spans(y, height, canvas_height) {
        let (from, to) = axis(x, width, canvas_width)?;
        return Some(Rect {
            x: from,
            y: 0,
            extent: Extent::new(to - from, canvas_height),
        });
    }
    if spans(x, width, canvas_width) {
        let (from, to) = axis(y, height, canvas_height)?;
        return Some(Rect {
            x: 0,
            y: from,
            extent: Extent::new(canvas_width, to - from),
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spanning_selection_leaves_over() {
        let canvas = Extent::new(768, 512);
        let rect = |[x, y, width, height]: [u32; 4]| Rect {
            x,
            y,
            extent: Extent::new(width, height),
        };
        for (bounds, left) in [
            // From the left, from the right, with a corner that is no multiple of 8.
            ([0, 0, 256, 512], Some([256, 0, 512, 512])),
            ([400, 0, 368, 512], Some([0, 0, 400, 512])),
            ([0, 3, 250, 507], Some([256, 0, 512, 512])),
            // From above and below.
            ([0, 0, 768, 200], Some([0, 200, 768, 312])),
            ([0, 300, 768, 212], Some([0, 0, 768, 296])),
            // Too little is left, nothing is, and it does not span.
            ([0, 0, 560, 512], None),
            ([0, 0, 768, 512], None),
            ([100, 100, 200, 200], None),
            ([300, 0, 100, 512], None),
        ] {
            assert_eq!(rest(rect(bounds), canvas).map(Rect::array), left, "{bounds:?}");
        }
    }
}
