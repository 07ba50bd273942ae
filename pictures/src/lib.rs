//! Exact picture operations around a diffusion: masks, fills, alpha, colour match. And thumbnails, and pictures as files. Pure.
//!
//! Colours are 8-bit sRGB, masks 8-bit gray with 255 for "selected": that is what goes to ComfyUI and to the painter, so
//! nothing is gained by more. In between, blurs and colour spaces count in more bits. What each operation means is said
//! where it is; sizes that do not fit are a [`Mismatch`], never a panic. Large pictures are shared out over the host's
//! cores.

#![allow(
    clippy::cast_possible_wrap,
    reason = "sides of pictures and blurs stay far below the limits"
)]

mod blur;
mod border;
mod coding;
mod colour_match;
mod combine;
mod fill;
mod lapse;
mod mask;
mod rows;
mod scale;
mod spread;

pub use coding::{WEBP_SIDE, fast_png, file, jpeg, read, webp, webp_of};
pub use colour_match::match_colours;
pub use combine::{crop, flatten, hint, invert, with_alpha};
pub use fill::{Fill, fill};
pub use lapse::lapse;
pub use mask::{clean, composite, expand, remainder, stable};
pub use scale::{Filter, scale, scale_mask, thumbnail};

/// Pictures that belong together differ in size, or a cut lies outside of its picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}x{1} pixels do not fit {2}x{3} pixels")]
pub struct Mismatch(pub u32, pub u32, pub u32, pub u32);

impl Mismatch {
    fn check((width, height): (u32, u32), (wanted_width, wanted_height): (u32, u32)) -> Result<(), Self> {
        if (width, height) == (wanted_width, wanted_height) {
            Ok(())
        } else {
            Err(Self(width, height, wanted_width, wanted_height))
        }
    }
}
