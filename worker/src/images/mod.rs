//! The pictures of a run: those of the request, checked and prepared, and those of the renderer, finished and joined.

mod bad_input;
mod finish;
#[cfg(test)]
mod fuzz;
mod inputs;
mod picture;
mod preview;
mod result_blob;
mod segment;
mod small;
mod thumbnail;

pub(crate) use bad_input::BadInput;
#[cfg(test)]
pub(crate) use finish::decoding;
pub(crate) use finish::finish;
#[cfg(test)]
pub(crate) use inputs::count;
pub(crate) use inputs::{Ready, check_etag, inline, limit, prepare};
pub(crate) use preview::preview;
pub(crate) use result_blob::{BadOutput, ResultBlob, check_count};
#[cfg(test)]
pub(crate) use segment::picture as read_picture;
pub(crate) use small::{first, small};
pub(crate) use thumbnail::thumbnails;
