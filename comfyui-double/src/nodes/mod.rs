//! What the nodes do: a light evaluation that gets sizes, numbers and dependencies right.

pub(crate) mod call;
mod detectors;
pub(crate) mod evaluate;
mod hooks;
mod latents;
mod loaders;
mod masks;
pub(crate) mod outcome;
mod output;
mod pictures;
mod references;
mod sampling;
pub(crate) mod stage;
pub(crate) mod thing;
