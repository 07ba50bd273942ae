//! The LoRAs that painters upload: fetched before ComfyUI sees the graph, checked, and kept for the next time.

mod cache;
mod check;
mod error;
#[cfg(test)]
mod fuzz;
mod header;
mod part;
mod rename;

pub(crate) use cache::LoraCache;
pub(crate) use check::{Checked, check};
pub(crate) use error::{BadLora, LoraError};
#[cfg(test)]
pub(crate) use header::begin;
pub(crate) use part::Part;
