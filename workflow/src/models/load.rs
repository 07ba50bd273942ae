//! The nodes between model files and a sampler.

use super::{
    family::Family,
    loaded::{Guidance, Loaded, Trunk, load_checkpoint, load_diffusion_model, patch},
    settings::{Clip, Models, Source},
};
use crate::draft::{Draft, Link, flow};

fn load_text_encoders(draft: &mut Draft, clip: &Clip) -> Link<flow::Clip> {
    let loader = match clip {
        Clip::Two([first, second], kind) => {
            let (first, second) = (draft.model_file(first), draft.model_file(second));
            draft.node(
                "DualCLIPLoader",
                [("clip_name1", first), ("clip_name2", second), ("type", (*kind).into())],
            )
        }
        Clip::One(file) => {
            let file = draft.model_file(file);
            draft.node("CLIPLoader", [("clip_name", file), ("type", "stable_diffusion".into())])
        }
    };
    loader.output(0)
}

fn load_vae(draft: &mut Draft, file: &str) -> Link<flow::Vae> {
    let file = draft.model_file(file);
    draft.node("VAELoader", [("vae_name", file)]).output(0)
}

impl Source {
    fn load(&self, draft: &mut Draft) -> Trunk {
        match self {
            Self::Checkpoint { file, vae } => {
                let trunk = load_checkpoint(draft, file);
                Trunk {
                    vae: vae.as_ref().map_or(trunk.vae, |file| load_vae(draft, file)),
                    ..trunk
                }
            }
            Self::Parts { model, clip, vae } => {
                let model = load_diffusion_model(draft, model);
                let clip = load_text_encoders(draft, clip);
                Trunk {
                    model,
                    clip,
                    vae: load_vae(draft, vae),
                }
            }
        }
    }
}

impl Models {
    /// Loads and patches. The order of patches is the upstream plugin's: each sees what came before it.
    pub(crate) fn load(&self, draft: &mut Draft) -> Loaded {
        let Trunk {
            mut model,
            mut clip,
            vae,
        } = self.source.load(draft);
        if self.clip_skip > 0 {
            let layer = -i64::from(self.clip_skip);
            clip = draft
                .node(
                    "CLIPSetLastLayer",
                    [("clip", clip.into()), ("stop_at_clip_layer", layer.into())],
                )
                .output(0);
        }
        let reuse_threshold = match self.family {
            Family::Sd15 => None,
            Family::Sdxl => Some(0.2),
            Family::Flux => Some(0.12),
        };
        if let Some(reuse_threshold) = reuse_threshold.filter(|_| self.dynamic_caching) {
            let settings = [
                ("reuse_threshold", reuse_threshold.into()),
                ("start_percent", 0.15.into()),
                ("end_percent", 0.95.into()),
                ("verbose", false.into()),
            ];
            model = patch(draft, "EasyCache", model, settings);
        }
        for lora in &self.loras {
            let file = draft.model_file(&lora.file);
            let node = draft.node(
                "LoraLoader",
                [
                    ("model", model.into()),
                    ("clip", clip.into()),
                    ("lora_name", file),
                    ("strength_model", lora.strength.into()),
                    ("strength_clip", lora.strength.into()),
                ],
            );
            (model, clip) = (node.output(0), node.output(1));
        }
        if self.v_prediction {
            let settings = [("sampling", "v_prediction".into()), ("zsnr", true.into())];
            model = patch(draft, "ModelSamplingDiscrete", model, settings);
        }
        if let Some(multiplier) = self.rescale_cfg {
            model = patch(draft, "RescaleCFG", model, [("multiplier", multiplier.into())]);
        }
        if self.lcm {
            let settings = [("sampling", "lcm".into()), ("zsnr", false.into())];
            model = patch(draft, "ModelSamplingDiscrete", model, settings);
        }
        if self.self_attention_guidance {
            let settings = [("scale", 0.5.into()), ("blur_sigma", 2.0.into())];
            model = patch(draft, "SelfAttentionGuidance", model, settings);
        }
        Loaded {
            model,
            clip,
            zeroes_empty_text: self.family == Family::Sdxl,
            guidance: (self.family == Family::Flux).then_some(Guidance::Asked),
            vae,
            tiled_vae: self.tiled_vae,
        }
    }
}
