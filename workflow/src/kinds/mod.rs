//! One module for each kind of request: which blocks, in which order. `request` and `second_pass` are what they share.

pub(crate) mod control_image;
pub(crate) mod generate;
pub(crate) mod inpaint;
pub(crate) mod refine;
pub(crate) mod refine_region;
mod request;
mod second_pass;
pub(crate) mod upscale_simple;
pub(crate) mod upscale_tiled;
