//! Sizes within the limits.

use super::limits::number;
use crate::{refusal::Refusal, wire};

/// ComfyUI's own limit for a picture's side.
const MAX_SIDE: i64 = 16_384;
/// Below 16 ComfyUI makes no latent; above 4096 no painter's GPU has the memory for attention.
const PASS_SIDES: std::ops::RangeInclusive<i64> = 16..=4_096;
/// A latent pixel is 8 pixels wide; ComfyUI would silently cut the rest.
const LATENT_CELL: i64 = 8;
/// What the sizes of tiled upscaling are multiples of.
pub(crate) const TILE_GRID: u32 = 16;
/// Pixels of one diffusion pass over a whole batch: two pictures of 4096², or 16 of 1448².
const MAX_PASS_PIXELS: u64 = 2 * 4_096 * 4_096;
/// Pixels of all results together, 8192²: below 1 GB in ComfyUI's memory.
const MAX_RESULT_PIXELS: u64 = 8_192 * 8_192;

/// A size in pixels within the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    width: u32,
    height: u32,
}

/// The checked sizes of a request with diffusion; see the protocol's terms in [`wire::Extents`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extents {
    pub(crate) input: Extent,
    pub(crate) initial: Extent,
    pub(crate) desired: Extent,
    pub(crate) target: Extent,
}

impl Extent {
    pub(crate) const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// A 64-pixel square, about the smallest picture that exercises a model.
    pub(crate) const TINY: Self = Self { width: 64, height: 64 };

    pub(crate) fn width(self) -> u32 {
        self.width
    }

    pub(crate) fn height(self) -> u32 {
        self.height
    }

    pub(crate) fn sides(self) -> [u32; 2] {
        [self.width, self.height]
    }

    /// Each side rounded up to a multiple, and at least so long.
    pub(crate) fn round_up(self, multiple: u32, least: u32) -> Self {
        let up = |side: u32| side.next_multiple_of(multiple).max(least);
        Self {
            width: up(self.width),
            height: up(self.height),
        }
    }

    pub(crate) fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    fn parse(what: &str, sides: [i64; 2], limits: std::ops::RangeInclusive<i64>) -> Result<Self, Refusal> {
        let [width, height] = sides;
        Ok(Self {
            width: number(&format!("{what} width"), width, limits.clone())?,
            height: number(&format!("{what} height"), height, limits)?,
        })
    }

    fn parse_pass(what: &str, sides: [i64; 2], batch: u32) -> Result<Self, Refusal> {
        let extent = Self::parse(what, sides, PASS_SIDES)?;
        if sides.iter().any(|side| side % LATENT_CELL != 0) {
            let [width, height] = sides;
            return Err(Refusal::new(format!(
                "the {what} size {width}x{height} is no multiple of {LATENT_CELL}. Update the plugin, then try again."
            )));
        }
        extent.limit(batch, MAX_PASS_PIXELS)
    }

    fn limit(self, batch: u32, pixels: u64) -> Result<Self, Refusal> {
        if self.pixels() * u64::from(batch) <= pixels {
            return Ok(self);
        }
        Err(Refusal::new(format!(
            "{batch} x {}x{} pixels are too many for one request. Use a smaller canvas or selection, or fewer images.",
            self.width, self.height
        )))
    }
}

impl Extents {
    pub(crate) fn parse(wire: &wire::Extents, batch: u32) -> Result<Self, Refusal> {
        Ok(Self {
            input: Extent::parse("input", wire.input, 1..=MAX_SIDE)?.limit(1, MAX_RESULT_PIXELS)?,
            initial: Extent::parse_pass("first pass", wire.initial, batch)?,
            desired: Extent::parse_pass("second pass", wire.desired, batch)?,
            target: Extent::parse("target", wire.target, 1..=MAX_SIDE)?.limit(batch, MAX_RESULT_PIXELS)?,
        })
    }

    /// Of a request that is painted tile by tile: `desired` is the smallest size of a tile.
    pub(crate) fn parse_tiled(wire: &wire::Extents) -> Result<Self, Refusal> {
        let input = Extent::parse("input", wire.input, 1..=MAX_SIDE)?.limit(1, MAX_RESULT_PIXELS)?;
        let initial = Extent::parse("upscaled", wire.initial, 16..=MAX_SIDE)?.limit(1, MAX_RESULT_PIXELS)?;
        let desired = Extent::parse("tile", wire.desired, PASS_SIDES)?;
        if [initial, desired]
            .iter()
            .any(|extent| extent.round_up(TILE_GRID, 0) != *extent)
        {
            return Err(Refusal::new(format!(
                "the size of the upscaled picture or its tiles is no multiple of {TILE_GRID}. Update the plugin, then try again."
            )));
        }
        Ok(Self {
            input,
            initial,
            desired,
            target: Extent::parse("target", wire.target, 1..=MAX_SIDE)?.limit(1, MAX_RESULT_PIXELS)?,
        })
    }

    /// Of a request without diffusion: only `input` and `target` count.
    pub(crate) fn parse_plain(wire: &wire::Extents) -> Result<Self, Refusal> {
        let input = Extent::parse("input", wire.input, 1..=MAX_SIDE)?.limit(1, MAX_RESULT_PIXELS)?;
        let target = Extent::parse("target", wire.target, 1..=MAX_SIDE)?.limit(1, MAX_RESULT_PIXELS)?;
        Ok(Self {
            input,
            initial: input,
            desired: target,
            target,
        })
    }

    /// The size of the second pass over a selection.
    pub(crate) fn parse_crop(wire: [i64; 2], batch: u32) -> Result<Extent, Refusal> {
        Extent::parse_pass("detail pass", wire, batch)
    }
}
