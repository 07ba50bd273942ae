//! One module for each kind of request: which blocks, in which order.

pub(crate) mod control_image;
pub(crate) mod generate;
pub(crate) mod inpaint;
pub(crate) mod refine;
pub(crate) mod refine_region;
pub(crate) mod upscale_simple;
pub(crate) mod upscale_tiled;
