//! One module for each kind of request: which blocks, in which order.

pub(crate) mod generate;
pub(crate) mod refine;
