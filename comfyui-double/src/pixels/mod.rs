//! Pictures and masks as bytes, and the stand-in pictures that are painted.

pub(crate) mod cut;
mod font;
pub(crate) mod mask;
pub(crate) mod metadata;
pub(crate) mod paint;
pub(crate) mod picture;
