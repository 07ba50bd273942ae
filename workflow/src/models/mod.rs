//! Model files, and the chain of nodes between a file and a sampler.

mod family;
mod load;
mod loaded;
mod settings;

pub(crate) use family::Family;
pub(crate) use loaded::{Guidance, Loaded, load_checkpoint, load_diffusion_model};
pub(crate) use settings::{Lora, Models, is_complete, parse_loras};
