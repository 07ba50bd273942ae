//! What nodes give each other.

use std::sync::Arc;

use crate::pixels::mask::Mask;
use crate::pixels::picture::Picture;

/// What flows along a link.
#[derive(Clone, Debug)]
pub(crate) enum Thing {
    Pictures(Vec<Arc<Picture>>),
    Masks(Vec<Arc<Mask>>),
    Latent(Latent),
    /// The words, and all else that conditions, as text.
    Words(String),
    /// What the model is made of: files, LoRAs, patches.
    Model(String),
    Noise(u64),
    Guider {
        model: String,
        positive: String,
        negative: String,
    },
    Sigmas {
        steps: u32,
        /// The share of the noise schedule that they cover.
        strength: f32,
    },
    UpscaleModel(u32),
    /// Joints of people, as JSON.
    Keypoints(String),
    /// CLIP, VAE, control net, sampler, embeddings: by name.
    Named(String),
}

/// Latents know their size in pixels and the pictures that they decode to.
#[derive(Clone, Debug)]
pub(crate) struct Latent {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) batch: u32,
    /// Empty for an empty latent.
    pub(crate) pictures: Vec<Arc<Picture>>,
    pub(crate) mask: Option<Arc<Mask>>,
}

/// A list so many times over.
pub(super) fn repeated<T: Clone>(list: &[T], times: u32) -> Vec<T> {
    let length = list.len() * times as usize;
    list.iter().cycle().take(length).cloned().collect()
}
