//! Model settings: which files, and how they are patched.

use super::family::Family;
use crate::{
    check::{number, real},
    inventory::{Checkpoint, Format, Inventory},
    refusal::{Refusal, missing, quote},
    wire::{self, Arch},
};

const MAX_LORAS: usize = 64;
const LORA_STRENGTH: std::ops::RangeInclusive<f64> = -10.0..=10.0;
/// ComfyUI's own limit.
const CLIP_SKIP: std::ops::RangeInclusive<i64> = 0..=24;
/// How the plugin says "the checkpoint's own VAE", beside nothing.
const CHECKPOINT_VAE: &str = "Checkpoint Default";

/// Checked model settings; every file is one of the inventory.
#[allow(clippy::struct_excessive_bools, reason = "switches that the painter sets one by one")]
#[derive(Debug)]
pub(crate) struct Models {
    pub(crate) family: Family,
    pub(crate) arch: Arch,
    pub(super) source: Source,
    pub(super) loras: Vec<Lora>,
    pub(super) clip_skip: u32,
    pub(super) v_prediction: bool,
    pub(super) rescale_cfg: Option<f64>,
    pub(super) lcm: bool,
    pub(super) self_attention_guidance: bool,
    pub(super) dynamic_caching: bool,
    pub(super) tiled_vae: bool,
}

/// Where model, text encoder and VAE come from.
#[derive(Debug)]
pub(super) enum Source {
    /// With a VAE instead of the checkpoint's own, if the painter chose one.
    Checkpoint {
        file: String,
        vae: Option<String>,
    },
    Parts {
        model: String,
        clip: Clip,
        vae: String,
    },
}

/// Text encoders.
#[derive(Debug)]
pub(super) enum Clip {
    One(String),
    /// With ComfyUI's name for what they are used for.
    Two([String; 2], &'static str),
}

/// A checked LoRA.
#[derive(Debug, Clone)]
pub(crate) struct Lora {
    pub(crate) file: String,
    pub(crate) strength: f64,
}

impl Models {
    /// `loras` are all that apply to the whole picture, in order.
    pub(crate) fn parse<'a>(
        wire: &wire::Models,
        loras: impl Iterator<Item = &'a wire::Lora>,
        inventory: &Inventory,
    ) -> Result<Self, Refusal> {
        let arch = &wire.version;
        let family = Family::parse(arch)?;
        if wire.checkpoint.is_empty() {
            return Err(missing("checkpoint"));
        }
        let checkpoint = inventory
            .checkpoint(&wire.checkpoint)
            .ok_or_else(|| not_here("checkpoint", &wire.checkpoint))?;
        if Family::parse(&checkpoint.arch)? != family {
            return Err(Refusal::new(format!(
                "the checkpoint {} is {}, not {arch}. Choose another model in the style settings.",
                quote(&wire.checkpoint),
                checkpoint.arch
            )));
        }
        let vae = match wire.vae.as_str() {
            "" | CHECKPOINT_VAE => None,
            name => Some(inventory.vae(name).ok_or_else(|| not_here("VAE", name))?.to_owned()),
        };
        let loras = parse_loras(loras, inventory)?;
        let lcm = inventory.resource("lora", "lcm", arch);
        let rescale_cfg = real("guidance rescale", wire.rescale_cfg, 0.0..=1.0)?;
        // Flux has no such variants, and its blocks are of another kind.
        let stable_diffusion = family != Family::Flux;
        let v_prediction = wire.v_prediction_zsnr && stable_diffusion;
        let predicts_v = v_prediction || *arch == Arch::IlluV;
        Ok(Self {
            family,
            arch: arch.clone(),
            source: Source::parse(checkpoint, vae, family, arch, inventory)?,
            lcm: loras.iter().any(|lora| Some(lora.file.as_str()) == lcm),
            loras,
            clip_skip: number("clip skip", wire.clip_skip, CLIP_SKIP)? * u32::from(stable_diffusion),
            v_prediction,
            rescale_cfg: (predicts_v && rescale_cfg > 0.0).then_some(rescale_cfg),
            self_attention_guidance: wire.self_attention_guidance && stable_diffusion,
            dynamic_caching: wire.dynamic_caching,
            tiled_vae: wire.tiled_vae,
        })
    }

    /// The diffusion model's file.
    pub(crate) fn file(&self) -> &str {
        match &self.source {
            Source::Checkpoint { file, .. } | Source::Parts { model: file, .. } => file,
        }
    }
}

pub(crate) fn parse_loras<'a>(
    wire: impl Iterator<Item = &'a wire::Lora>,
    inventory: &Inventory,
) -> Result<Vec<Lora>, Refusal> {
    let wire: Vec<_> = wire.collect();
    if wire.len() > MAX_LORAS {
        return Err(Refusal::new(format!(
            "{} LoRAs are too many, the limit is {MAX_LORAS}. Remove some from the style or the prompt.",
            wire.len()
        )));
    }
    let parse = |lora: &wire::Lora| {
        let file = if lora.storage_id.is_empty() {
            inventory.lora(&lora.name).ok_or_else(|| not_here("LoRA", &lora.name))?
        } else {
            inventory.uploads.get(&lora.storage_id).ok_or_else(|| {
                Refusal::new(format!(
                    "your own LoRA {} was not uploaded to this server, or is no longer there. Try again.",
                    quote(&lora.name)
                ))
            })?
        };
        Ok(Lora {
            file: file.to_owned(),
            strength: real("LoRA strength", lora.strength, LORA_STRENGTH)?,
        })
    };
    wire.into_iter().map(parse).collect()
}

/// Whether the inventory has all that this checkpoint needs.
pub(crate) fn is_complete(checkpoint: &Checkpoint, family: Family, inventory: &Inventory) -> bool {
    Source::parse(checkpoint, None, family, &checkpoint.arch, inventory).is_ok()
}

fn not_here(what: &str, name: &str) -> Refusal {
    let advice = match what {
        "LoRA" => "Remove it from the style or the prompt",
        "VAE" => "Choose another VAE in the style settings",
        _ => "Choose another model in the style settings",
    };
    Refusal::new(format!("the {what} {} is not on this server. {advice}.", quote(name)))
}

impl Source {
    fn parse(
        checkpoint: &Checkpoint,
        vae: Option<String>,
        family: Family,
        arch: &Arch,
        inventory: &Inventory,
    ) -> Result<Self, Refusal> {
        let file = checkpoint.file.clone();
        if checkpoint.format == Format::Checkpoint {
            return Ok(Self::Checkpoint { file, vae });
        }
        let part = |kind: &str, identifier: &str| {
            inventory.resource(kind, identifier, arch).map(str::to_owned).ok_or_else(|| {
                Refusal::new(format!(
                    "the model {} needs {kind}-{identifier}-{arch}, which is not on this server. Choose another model.",
                    quote(&checkpoint.file)
                ))
            })
        };
        let clip_l = part("text_encoder", "clip_l")?;
        let clip = match family {
            Family::Sd15 => Clip::One(clip_l),
            Family::Sdxl => Clip::Two([part("text_encoder", "clip_g")?, clip_l], "sdxl"),
            Family::Flux => Clip::Two([clip_l, part("text_encoder", "t5")?], "flux"),
        };
        let vae = vae.map_or_else(|| part("vae", "default"), Ok)?;
        Ok(Self::Parts { model: file, clip, vae })
    }
}
