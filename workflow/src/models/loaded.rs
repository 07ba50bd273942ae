//! Models ready for use.

use crate::{
    draft::{Draft, Link, NodeId, flow},
    wire::Arch,
};
use serde_json::Value;

/// What a checkpoint gives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trunk {
    pub(crate) model: Link<flow::Model>,
    pub(crate) clip: Link<flow::Clip>,
    pub(crate) vae: Link<flow::Vae>,
}

/// Models ready for use, and how they want to be used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loaded {
    pub(crate) model: Link<flow::Model>,
    pub(crate) clip: Link<flow::Clip>,
    pub(crate) vae: Link<flow::Vae>,
    pub(crate) zeroes_empty_text: bool,
    /// For models with guidance built in, which take it as a part of the prompt.
    pub(crate) guidance: Option<Guidance>,
    pub(super) tiled_vae: bool,
}

/// Guidance built into a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Guidance {
    /// What the request says, or else what the model was made for.
    Asked,
    /// What a model made for filling wants.
    Filling,
}

pub(crate) fn load_checkpoint(draft: &mut Draft, file: &str) -> Trunk {
    let file = draft.model_file(file);
    let loader = draft.node("CheckpointLoaderSimple", [("ckpt_name", file)]);
    Trunk {
        model: loader.output(0),
        clip: loader.output(1),
        vae: loader.output(2),
    }
}

pub(crate) fn load_diffusion_model(draft: &mut Draft, file: &str) -> Link<flow::Model> {
    let file = draft.model_file(file);
    draft
        .node("UNETLoader", [("unet_name", file), ("weight_dtype", "default".into())])
        .output(0)
}

pub(super) fn patch<const N: usize>(
    draft: &mut Draft,
    class: &'static str,
    model: Link<flow::Model>,
    settings: [(&'static str, Value); N],
) -> Link<flow::Model> {
    draft
        .node_with(class, [("model", model.into())].into_iter().chain(settings))
        .output(0)
}

impl Loaded {
    /// As loaded, without any patch.
    pub(crate) fn plain(trunk: Trunk, arch: &Arch) -> Self {
        let Trunk { model, clip, vae } = trunk;
        Self {
            model,
            clip,
            zeroes_empty_text: false,
            guidance: (*arch == Arch::Flux).then_some(Guidance::Asked),
            vae,
            tiled_vae: false,
        }
    }

    /// With a mask's grays taken as shares of the diffusion.
    pub(crate) fn differential(self, draft: &mut Draft) -> Self {
        Self {
            model: patch(draft, "DifferentialDiffusion", self.model, []),
            ..self
        }
    }

    pub(crate) fn encode(&self, draft: &mut Draft, pixels: Link<flow::Image>) -> Link<flow::Latent> {
        self.through_vae(draft, ["VAEEncode", "VAEEncodeTiled"], ("pixels", pixels.into()))
            .output(0)
    }

    pub(crate) fn decode(&self, draft: &mut Draft, samples: Link<flow::Latent>) -> Link<flow::Image> {
        self.through_vae(draft, ["VAEDecode", "VAEDecodeTiled"], ("samples", samples.into()))
            .output(0)
    }

    fn through_vae(
        &self,
        draft: &mut Draft,
        [whole, tiled]: [&'static str; 2],
        content: (&'static str, Value),
    ) -> NodeId {
        let inputs = [content, ("vae", self.vae.into())];
        if !self.tiled_vae {
            return draft.node(whole, inputs);
        }
        let tiles = [
            ("tile_size", 512),
            ("overlap", 64),
            ("temporal_size", 64),
            ("temporal_overlap", 8),
        ];
        draft.node_with(
            tiled,
            inputs.into_iter().chain(tiles.map(|(name, size)| (name, size.into()))),
        )
    }
}
