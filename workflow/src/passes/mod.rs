//! Passes of diffusion: what they begin with, the sampler, and how they keep to a selection.

mod latent;
mod sampling;
mod selection;

pub(crate) use latent::{empty_latent, repeat};
pub(crate) use sampling::{Sampling, sample};
pub(crate) use selection::{Canvas, InpaintModel, Selection, masked_pass};
