//! Nodes of a graph in the making, and links between them that carry a type.

use serde_json::{Map, Value, json};
use std::marker::PhantomData;

/// A node before it has an id.
#[derive(Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) class: &'static str,
    pub(crate) inputs: Map<String, Value>,
}

/// A node in a draft, whose outputs can be linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(usize);

impl NodeId {
    pub(crate) fn at(index: usize) -> Self {
        Self(index + 1)
    }

    /// The output in this place; the caller names its type.
    pub(crate) fn output<T>(self, place: usize) -> Link<T> {
        Link {
            node: self.0,
            place,
            carries: PhantomData,
        }
    }
}

/// An output of a node, to be used as input of later ones. `T` is what flows through it.
#[derive(Debug)]
pub(crate) struct Link<T> {
    node: usize,
    place: usize,
    carries: PhantomData<T>,
}

// Derived, these would ask the same of `T`.
impl<T> Clone for Link<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Link<T> {}

impl<T> From<Link<T>> for Value {
    fn from(link: Link<T>) -> Self {
        json!([link.node.to_string(), link.place])
    }
}

/// What flows through links; ComfyUI's names for its types.
pub(crate) mod flow {
    macro_rules! types {
        ($($name:ident)*) => {$(
            #[derive(Debug)]
            pub(crate) enum $name {}
        )*};
    }

    types! {
        Clip ClipVision ClipVisionOutput Conditioning ControlNet Embeds Guider Hooks Image IpAdapter Keypoints Latent Mask Model Noise Sampler
        Sigmas StyleModel UpscaleModel Vae
    }
}
