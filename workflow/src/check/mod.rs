//! Values of the wire that were found to be within their limits.

mod extent;
mod limits;
mod rect;
mod stored;

pub(crate) use extent::{Extent, Extents, TILE_GRID};
pub(crate) use limits::{number, real};
pub(crate) use rect::Rect;
pub(crate) use stored::{ImageIndex, StoredImages};
