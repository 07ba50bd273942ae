//! What a file is for, by names and shapes of its tensors.
//!
//! The names are those that the models' authors gave, and ComfyUI goes by them too; each rule says whose they are.

use std::collections::BTreeMap;

use workflow::{Arch, LoraFit, read_lora};

/// What a model file is for: the folder of ComfyUI that it belongs into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Diffusion model, text encoders and VAE in one.
    Checkpoint,
    /// The diffusion model alone.
    DiffusionModel,
    /// Changes a diffusion model.
    Lora,
    /// To and from latents.
    Vae,
    /// Guides by a picture.
    ControlNet,
    /// Guides by what a picture shows, through its encoding.
    IpAdapter,
    /// Enlarges pictures.
    Upscaler,
    /// Encodes prompts.
    TextEncoder,
    /// Encodes pictures.
    ClipVision,
    /// A word of its own (textual inversion).
    Embedding,
}

impl Kind {
    /// Our name for it, one of [`model::KINDS`].
    pub const fn name(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::DiffusionModel => "diffusion_model",
            Self::Lora => "lora",
            Self::Vae => "vae",
            Self::ControlNet => "controlnet",
            Self::IpAdapter => "ip_adapter",
            Self::Upscaler => "upscaler",
            Self::TextEncoder => "text_encoder",
            Self::ClipVision => "clip_vision",
            Self::Embedding => "embedding",
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// None: nothing that is known.
    pub kind: Option<Kind>,
    /// The architecture that it is or acts on; none where it has none, or one that we do not know.
    pub arch: Option<Arch>,
}

/// Names and shapes.
pub(super) type Shapes<'a> = BTreeMap<&'a str, &'a [usize]>;

/// Where a diffusion model's tensors stand in a checkpoint, and in a file of their own.
const PREFIXES: [&str; 2] = ["model.diffusion_model.", ""];

pub(super) fn find(shapes: &Shapes<'_>) -> Found {
    let (kind, arch) = kind(shapes);
    Found { kind, arch }
}

fn kind(shapes: &Shapes<'_>) -> (Option<Kind>, Option<Arch>) {
    let any = |part: &str| shapes.keys().any(|name| name.contains(part));
    let begins = |start: &str| {
        shapes
            .range(start..)
            .next()
            .is_some_and(|(name, _)| name.starts_with(start))
    };
    let has = |name: &str| shapes.contains_key(name);

    if is_lora(shapes, &Arch::Sd15) != LoraFit::NoLora {
        return (Some(Kind::Lora), lora_arch(shapes));
    }
    // Stability's and lllyasviel's; diffusers'; those for Flux; T2I adapters.
    if begins("control_model.")
        || begins("controlnet_")
        || begins("adapter.body.")
        || any("lllite_")
        || begins("input_hint_block.")
    {
        return (Some(Kind::ControlNet), control_arch(shapes));
    }
    if begins("image_proj.") && begins("ip_adapter.") {
        return (Some(Kind::IpAdapter), ip_adapter_arch(shapes));
    }
    if let Some((arch, prefix)) = diffusion(shapes) {
        let whole = !prefix.is_empty() && (begins("first_stage_model.") || begins("vae."));
        let kind = if whole { Kind::Checkpoint } else { Kind::DiffusionModel };
        return (Some(kind), arch);
    }
    if (has("decoder.conv_in.weight") || has("first_stage_model.decoder.conv_in.weight"))
        && (any("encoder.conv_in.weight") || any("encoder.conv_out.weight"))
    {
        return (Some(Kind::Vae), None);
    }
    if begins("vision_model.embeddings.") || begins("visual.transformer.") {
        return (Some(Kind::ClipVision), None);
    }
    if begins("text_model.encoder.")
        || begins("encoder.block.0.layer.0.SelfAttention.")
        || begins("transformer.resblocks.")
    {
        return (Some(Kind::TextEncoder), None);
    }
    if shapes.len() <= 4 && (has("emb_params") || (has("clip_l") && has("clip_g"))) {
        let arch = if has("clip_g") {
            Some(Arch::Sdxl)
        } else {
            embedding_arch(shapes)
        };
        return (Some(Kind::Embedding), arch);
    }
    // ESRGAN's by its authors, and as others name the same; SwinIR, DAT and their kind.
    if has("conv_first.weight") || has("model.0.weight") && any("RDB1.") || any("residual_group.blocks.") {
        return (Some(Kind::Upscaler), None);
    }
    (None, None)
}

/// Whether it is a LoRA, and one for this architecture.
fn is_lora(shapes: &Shapes<'_>, arch: &Arch) -> LoraFit {
    let shapes: Vec<(&str, Vec<u64>)> = shapes
        .iter()
        .map(|(name, shape)| (*name, shape.iter().map(|side| *side as u64).collect()))
        .collect();
    read_lora(arch, shapes.iter().map(|(name, shape)| (*name, shape.as_slice()))).fit
}

/// The one architecture that a LoRA is for: of two that it fits (a text encoder's alone may) neither is known.
fn lora_arch(shapes: &Shapes<'_>) -> Option<Arch> {
    let known = [Arch::Sd15, Arch::Sdxl, Arch::Flux];
    let mut fitting = known.into_iter().filter(|arch| is_lora(shapes, arch) == LoraFit::Fits);
    let first = fitting.next();
    first.filter(|_| fitting.next().is_none())
}

/// The diffusion model in it, and the prefix of its names. An architecture that we do not know is none.
fn diffusion<'a>(shapes: &Shapes<'_>) -> Option<(Option<Arch>, &'a str)> {
    PREFIXES.iter().find_map(|prefix| {
        let shape = |name: &str| shapes.get(format!("{prefix}{name}").as_str()).copied();
        let has = |name: &str| shape(name).is_some();
        // Black Forest Labs'.
        if has("double_blocks.0.img_attn.norm.key_norm.scale") || has("double_blocks.0.img_attn.norm.key_norm.weight") {
            let chroma =
                has("distilled_guidance_layer.in_proj.weight") || has("distilled_guidance_layer.norms.0.scale");
            return Some((Some(if chroma { Arch::Chroma } else { Arch::Flux }), *prefix));
        }
        if has("joint_blocks.0.context_block.attn.qkv.weight") {
            return Some((Some(Arch::Sd3), *prefix));
        }
        // Stability's U-Nets differ in the width of the text that they attend to.
        let text = |block: &str| {
            shape(&format!("{block}.1.transformer_blocks.0.attn2.to_k.weight"))?
                .get(1)
                .copied()
        };
        if !has("input_blocks.0.0.weight") {
            return None;
        }
        let arch = match (text("input_blocks.1"), text("input_blocks.4")) {
            (Some(768), _) => Some(Arch::Sd15),
            (None, Some(2048)) => Some(Arch::Sdxl),
            _ => None,
        };
        Some((arch, *prefix))
    })
}

fn control_arch(shapes: &Shapes<'_>) -> Option<Arch> {
    if shapes
        .keys()
        .any(|name| name.contains("controlnet_x_embedder") || name.contains("double_blocks."))
    {
        return Some(Arch::Flux);
    }
    let attends = shapes.iter().filter(|(name, _)| name.ends_with("attn2.to_k.weight"));
    by_text(attends.filter_map(|(_, shape)| shape.get(1).copied()).max()?)
}

fn ip_adapter_arch(shapes: &Shapes<'_>) -> Option<Arch> {
    let attends = shapes.iter().filter(|(name, _)| name.ends_with("to_k_ip.weight"));
    by_text(attends.filter_map(|(_, shape)| shape.get(1).copied()).max()?)
}

fn embedding_arch(shapes: &Shapes<'_>) -> Option<Arch> {
    by_text(shapes.get("emb_params")?.last().copied()?)
}

fn by_text(width: usize) -> Option<Arch> {
    match width {
        768 => Some(Arch::Sd15),
        2048 => Some(Arch::Sdxl),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case<'a> = (&'a [(&'a str, &'a [usize])], Option<Kind>, Option<Arch>);

    fn of(tensors: &[(&str, &[usize])]) -> Found {
        find(&tensors.iter().copied().collect())
    }

    const SD15: [(&str, &[usize]); 3] = [
        ("model.diffusion_model.input_blocks.0.0.weight", &[320, 4, 3, 3]),
        (
            "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
            &[320, 768],
        ),
        ("first_stage_model.decoder.conv_in.weight", &[512, 4, 3, 3]),
    ];

    #[test]
    fn each_kind_is_told_by_its_tensors() {
        let sdxl: [(&str, &[usize]); 2] = [
            ("input_blocks.0.0.weight", &[320, 4, 3, 3]),
            ("input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight", &[640, 2048]),
        ];
        let cases: [Case<'_>; 15] = [
            (&SD15, Some(Kind::Checkpoint), Some(Arch::Sd15)),
            (&sdxl, Some(Kind::DiffusionModel), Some(Arch::Sdxl)),
            (
                &[("double_blocks.0.img_attn.norm.key_norm.scale", &[128])],
                Some(Kind::DiffusionModel),
                Some(Arch::Flux),
            ),
            (
                &[
                    ("double_blocks.0.img_attn.norm.key_norm.scale", &[128]),
                    ("distilled_guidance_layer.in_proj.weight", &[5120, 64]),
                ],
                Some(Kind::DiffusionModel),
                Some(Arch::Chroma),
            ),
            (
                &[(
                    "model.diffusion_model.joint_blocks.0.context_block.attn.qkv.weight",
                    &[4608, 1536],
                )],
                Some(Kind::DiffusionModel),
                Some(Arch::Sd3),
            ),
            (
                &[
                    ("input_blocks.0.0.weight", &[320, 4, 3, 3]),
                    ("input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", &[320, 1024]),
                ],
                Some(Kind::DiffusionModel),
                None,
            ),
            (
                &[
                    ("decoder.conv_in.weight", &[512, 4, 3, 3]),
                    ("encoder.conv_in.weight", &[128, 3, 3, 3]),
                ],
                Some(Kind::Vae),
                None,
            ),
            (
                &[
                    ("control_model.input_hint_block.0.weight", &[16, 3, 3, 3]),
                    (
                        "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
                        &[320, 768],
                    ),
                ],
                Some(Kind::ControlNet),
                Some(Arch::Sd15),
            ),
            (
                &[
                    ("controlnet_cond_embedding.conv_in.weight", &[16, 3, 3, 3]),
                    (
                        "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight",
                        &[640, 2048],
                    ),
                ],
                Some(Kind::ControlNet),
                Some(Arch::Sdxl),
            ),
            (
                &[
                    ("image_proj.proj.weight", &[3072, 1024]),
                    ("ip_adapter.1.to_k_ip.weight", &[320, 768]),
                ],
                Some(Kind::IpAdapter),
                Some(Arch::Sd15),
            ),
            (&[("conv_first.weight", &[64, 3, 3, 3])], Some(Kind::Upscaler), None),
            (&[("emb_params", &[4, 768])], Some(Kind::Embedding), Some(Arch::Sd15)),
            (
                &[("clip_l", &[4, 768]), ("clip_g", &[4, 1280])],
                Some(Kind::Embedding),
                Some(Arch::Sdxl),
            ),
            (
                &[("vision_model.embeddings.patch_embedding.weight", &[1280, 3, 14, 14])],
                Some(Kind::ClipVision),
                None,
            ),
            (&[("what.is.this", &[1])], None, None),
        ];
        for (tensors, kind, arch) in cases {
            let found = of(tensors);
            assert_eq!((found.kind, found.arch), (kind, arch), "{tensors:?}");
        }
    }

    #[test]
    fn a_lora_is_one_of_the_model_whose_widths_it_has() {
        let lora = |width| {
            [
                (
                    "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight",
                    [8, width],
                ),
                (
                    "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_up.weight",
                    [640, 8],
                ),
            ]
        };
        let sdxl = lora(2048);
        let sdxl: Vec<(&str, &[usize])> = sdxl.iter().map(|(name, shape)| (*name, shape.as_slice())).collect();
        let found = of(&sdxl);
        assert_eq!((found.kind, found.arch), (Some(Kind::Lora), Some(Arch::Sdxl)));
    }
}
