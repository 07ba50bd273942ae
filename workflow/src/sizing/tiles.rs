//! How a large picture is divided into tiles.

use crate::{
    check::{Extent, Rect, TILE_GRID},
    refusal::Refusal,
};

const MAX_TILES: u32 = 64;

/// Tiles that overlap by twice the padding.
#[derive(Debug)]
pub(crate) struct Layout {
    size: Extent,
    pub(crate) padding: u32,
    /// Width of the seam, within the overlap.
    pub(crate) blending: u32,
    columns: Axis,
    lines: Axis,
}

#[derive(Debug, PartialEq, Eq)]
struct Axis {
    tiles: u32,
    side: u32,
}

impl Layout {
    /// `overlap` in pixels, or automatic by the strength of the diffusion, 0 to 1.
    pub(crate) fn new(size: Extent, least: Extent, overlap: Option<u32>, strength: f64) -> Result<Self, Refusal> {
        let automatic = || (16.0 + 64.0 * strength).round_ties_even() as u32;
        let padding = overlap.unwrap_or_else(automatic).next_multiple_of(TILE_GRID);
        let blending = if padding == 0 { 0 } else { (padding / 16).max(1) * 8 };
        let layout = Self {
            size,
            padding,
            blending,
            columns: Axis::new(size.width(), least.width(), padding),
            lines: Axis::new(size.height(), least.height(), padding),
        };
        match layout.columns.tiles.saturating_mul(layout.lines.tiles) {
            ..=MAX_TILES => Ok(layout),
            tiles => Err(Refusal::new(format!(
                "{tiles} tiles are too many, the limit is {MAX_TILES}. Use a smaller factor or a smaller overlap."
            ))),
        }
    }

    /// Column by column.
    pub(crate) fn tiles(&self) -> Vec<Rect> {
        let place = |axis: &Axis, number: u32, whole: u32| {
            let start = number * (axis.side - if axis.tiles > 1 { 2 * self.padding } else { 0 });
            (start, axis.side.min(whole - start))
        };
        let mut tiles = vec![];
        for column in 0..self.columns.tiles {
            for line in 0..self.lines.tiles {
                let (x, width) = place(&self.columns, column, self.size.width());
                let (y, height) = place(&self.lines, line, self.size.height());
                let extent = Extent::new(width, height);
                tiles.push(Rect { x, y, extent });
            }
        }
        tiles
    }

    /// What of a tile is pasted, within the tile: all but the outer part of its padding at inner sides.
    pub(crate) fn pasted(&self, tile: Rect) -> Rect {
        let cut = self.padding - self.blending / 2;
        let axis = |start: u32, side: u32, whole: u32| {
            let before = if start > 0 { cut } else { 0 };
            let after = if start + side < whole { cut } else { 0 };
            (before, side - before - after)
        };
        let (x, width) = axis(tile.x, tile.extent.width(), self.size.width());
        let (y, height) = axis(tile.y, tile.extent.height(), self.size.height());
        let extent = Extent::new(width, height);
        Rect { x, y, extent }
    }
}

impl Axis {
    fn new(size: u32, least: u32, padding: u32) -> Self {
        // Where tiles would be all padding there is one.
        let tiles = least
            .checked_sub(2 * padding)
            .filter(|inner| *inner > 0)
            .map_or(1, |inner| size / inner)
            .max(1);
        let side = (size + (tiles - 1) * 2 * padding)
            .div_ceil(tiles)
            .next_multiple_of(TILE_GRID);
        // Rounding up can leave nothing for the last tile.
        let start = |tile: u32| tile * (side - 2 * padding.min(side / 2));
        let needed = (1..tiles)
            .find(|tile| start(*tile) + 2 * padding >= size)
            .unwrap_or(tiles);
        Self { tiles: needed, side }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(side: u32) -> Extent {
        Extent::new(side, side)
    }

    #[test]
    fn layouts_of_the_description() {
        for (size, least, tiles, side, starts) in [
            (1024, 672, 1, 1024, vec![0]),
            (2048, 672, 3, 752, vec![0, 656, 1312]),
            (2048, 896, 2, 1072, vec![0, 976]),
            (4096, 896, 5, 896, vec![0, 800, 1600, 2400, 3200]),
        ] {
            let layout = Layout::new(square(size), square(least), None, 0.3).unwrap();
            assert_eq!((layout.padding, layout.blending), (48, 24));
            assert_eq!(layout.columns, Axis { tiles, side }, "{size} by {least}");
            let found: Vec<_> = layout
                .tiles()
                .iter()
                .filter(|tile| tile.x == 0)
                .map(|tile| tile.y)
                .collect();
            assert_eq!(found, starts);
        }
    }

    #[test]
    fn tiles_cover_the_picture_and_seams_meet() {
        for size in (16..4096).step_by(48) {
            for (least, overlap) in [
                (512, Some(0)),
                (640, Some(16)),
                (672, None),
                (896, Some(160)),
                (16, Some(499)),
            ] {
                let whole = Extent::new(size, 16);
                let Ok(layout) = Layout::new(whole, square(least), overlap, 0.5) else {
                    continue;
                };
                let mut end = 0;
                for tile in layout.tiles() {
                    let pasted = layout.pasted(tile);
                    let start = tile.x + pasted.x;
                    assert_eq!(
                        start + if tile.x > 0 { layout.blending } else { 0 },
                        end,
                        "{size} {least} {overlap:?}"
                    );
                    assert!(
                        tile.extent == whole || pasted.extent.width() >= layout.blending,
                        "{layout:?}"
                    );
                    end = start + pasted.extent.width();
                }
                assert_eq!(end, size, "{layout:?}");
            }
        }
    }

    #[test]
    fn too_many_tiles_are_refused() {
        assert!(Layout::new(square(8192), square(512), Some(0), 0.3).is_err());
    }
}
