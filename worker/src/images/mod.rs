//! The pictures of a run: those of the request, checked and prepared, and those of the renderer, finished and joined.

mod bad_input;
mod finish;
#[cfg(test)]
mod fuzz;
mod inputs;
mod picture;
mod result_blob;
mod segment;

pub(crate) use bad_input::BadInput;
pub(crate) use finish::finish;
pub(crate) use inputs::{Ready, check_etag, inline, limit, prepare};
pub(crate) use result_blob::{BadOutput, ResultBlob, check_count};
