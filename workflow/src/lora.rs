//! Which models a LoRA is made for, by the names and shapes of its tensors.
//!
//! A LoRA says nowhere reliably what it belongs to, but each of its tensors names the layer that it changes, and models of
//! different architectures have different layers. The names come in the dialects of the trainers (kohya's `lora_unet_…`
//! with underscores, diffusers' `unet.….lora_A`, Flux's own `double_blocks`), which are read alike with all dots as
//! underscores.

use crate::{input::Arch, models::Family};

/// What a LoRA can do for a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoraFit {
    /// It is made for such models, or for all.
    Fits,
    /// It is made for other models.
    Misfit,
    /// Its names are in no known dialect.
    Unknown,
    /// No tensor is one of a LoRA or its relatives.
    NoLora,
}

/// How a LoRA with these tensors (name and shape) fits models of this architecture.
pub fn lora_fit<'a>(arch: &Arch, tensors: impl IntoIterator<Item = (&'a str, &'a [u64])>) -> LoraFit {
    let (mut is_lora, mut model, mut text): (bool, Option<Made>, Option<Made>) = (false, None, None);
    for (name, shape) in tensors {
        if !is_adapter(name) {
            continue;
        }
        is_lora = true;
        let layer = name.replace('.', "_");
        if let Some(made) = of_model(&layer, shape) {
            model = Some(model.map_or(made, |model| model.and(made)));
        } else if let Some(made) = of_text_encoder(&layer) {
            text = Some(text.map_or(made, |text| text.and(made)));
        }
    }
    // Text encoders are shared between architectures, so they count only where there is nothing else.
    let (Ok(family), Some(made)) = (Family::parse(arch), model.or(text)) else {
        return if is_lora { LoraFit::Unknown } else { LoraFit::NoLora };
    };
    let fits = match family {
        Family::Sd15 => made.sd15,
        Family::Sdxl => made.sdxl,
        Family::Flux => made.flux,
    };
    if fits { LoraFit::Fits } else { LoraFit::Misfit }
}

/// What something can be a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Made {
    sd15: bool,
    sdxl: bool,
    flux: bool,
}

const SD15: Made = Made {
    sd15: true,
    sdxl: false,
    flux: false,
};
const SDXL: Made = Made { sdxl: true, ..NOTHING };
const FLUX: Made = Made { flux: true, ..NOTHING };
const NOTHING: Made = Made { sd15: false, ..SD15 };
/// Both have a U-Net with the same names where their blocks overlap.
const UNET: Made = Made { sdxl: true, ..SD15 };

impl Made {
    fn and(self, other: Self) -> Self {
        Self {
            sd15: self.sd15 && other.sd15,
            sdxl: self.sdxl && other.sdxl,
            flux: self.flux && other.flux,
        }
    }
}

/// LoRA, LoCon, LoHa, LoKr, OFT, GLoRA, DoRA, and plain differences.
fn is_adapter(name: &str) -> bool {
    ["lora", "hada_", "lokr_", "oft_"]
        .iter()
        .any(|part| name.contains(part))
        || [".diff", ".diff_b", ".dora_scale", ".a1.weight", ".b1.weight"]
            .iter()
            .any(|end| name.ends_with(end))
}

fn of_model(layer: &str, shape: &[u64]) -> Option<Made> {
    const FLUX_BLOCKS: [&str; 4] = [
        "double_blocks_",
        "single_blocks_",
        "single_transformer_blocks_",
        "transformer_transformer_blocks_",
    ];
    if FLUX_BLOCKS.iter().any(|part| layer.contains(part)) || layer.starts_with("transformer_blocks_") {
        return Some(FLUX);
    }
    if layer.contains("add_embedding") || layer.contains("label_emb") {
        return Some(SDXL);
    }
    let block = of_block(layer)?;
    // Only SDXL has more than one transformer in a place.
    let deep = number(layer, "_transformer_blocks_").is_some_and(|place| place > 0);
    Some(block.and(if deep { SDXL } else { UNET }).and(of_context(layer, shape)))
}

/// Diffusers' names of the U-Net's blocks, or those of the original.
fn of_block(layer: &str) -> Option<Made> {
    let attends = layer.contains("attentions_");
    if let Some(place) = number(layer, "down_blocks_") {
        return Some(match (place, attends) {
            (0, true) | (3, false) => SD15,
            (1 | 2, _) | (0, false) => UNET,
            _ => NOTHING,
        });
    }
    if let Some(place) = number(layer, "up_blocks_") {
        return Some(match (place, attends) {
            (0, true) => SDXL,
            (1, _) | (0 | 2, false) => UNET,
            (2 | 3, _) => SD15,
            _ => NOTHING,
        });
    }
    let attends = layer.contains("transformer_blocks_") || layer.contains("_proj_in") || layer.contains("_proj_out");
    if let Some(place) = number(layer, "input_blocks_") {
        return Some(match (place, attends) {
            (1 | 2, true) | (9..=11, false) => SD15,
            (4 | 5 | 7 | 8, _) | (0..=8, false) => UNET,
            _ => NOTHING,
        });
    }
    if let Some(place) = number(layer, "output_blocks_") {
        return Some(match (place, attends) {
            (0..=2, true) => SDXL,
            (3..=5, _) | (0..=8, false) => UNET,
            (6..=11, _) => SD15,
            _ => NOTHING,
        });
    }
    let middle = layer.contains("mid_block_") || layer.contains("middle_block_");
    middle.then_some(UNET)
}

/// The text's width, which cross attention takes in.
fn of_context(layer: &str, shape: &[u64]) -> Made {
    let crosses = layer.contains("_attn2_to_k") || layer.contains("_attn2_to_v");
    let takes_in = ["lora_down_weight", "lora_A_weight", "lora_A_default_weight"];
    match shape.get(1) {
        Some(width) if crosses && takes_in.iter().any(|end| layer.ends_with(end)) => match width {
            768 => SD15,
            2048 => SDXL,
            _ => NOTHING,
        },
        _ => UNET,
    }
}

fn of_text_encoder(layer: &str) -> Option<Made> {
    const BEGINS: [(&str, Made); 6] = [
        ("lora_te_", SD15),
        ("lora_te1_", Made { flux: true, ..SDXL }),
        ("lora_te2_", SDXL),
        ("lora_te3_", FLUX),
        ("text_encoder_2_", Made { flux: true, ..SDXL }),
        ("text_encoder_", Made { flux: true, ..UNET }),
    ];
    let found = BEGINS.iter().find(|(begin, _)| layer.starts_with(begin));
    found.map(|(_, made)| *made)
}

/// The number right behind this text.
fn number(layer: &str, before: &str) -> Option<u32> {
    let (_, rest) = layer.split_once(before)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(tensors: &[(&str, &[u64])]) -> [LoraFit; 3] {
        [Arch::Sd15, Arch::Illu, Arch::Flux].map(|arch| lora_fit(&arch, tensors.iter().copied()))
    }

    const A: &[u64] = &[8, 320];

    #[test]
    fn each_dialect_is_known_by_its_layers() {
        use LoraFit::{Fits, Misfit};
        let cases: [(&str, &[u64], [LoraFit; 3]); 20] = [
            (
                "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight",
                A,
                [Fits, Misfit, Misfit],
            ),
            (
                "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight",
                A,
                [Fits, Fits, Misfit],
            ),
            (
                "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight",
                &[8, 768],
                [Fits, Misfit, Misfit],
            ),
            (
                "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight",
                &[8, 2048],
                [Misfit, Fits, Misfit],
            ),
            // SD 2: the same names as SD 1.5, another text encoder.
            (
                "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_v.lora_down.weight",
                &[8, 1024],
                [Misfit, Misfit, Misfit],
            ),
            (
                "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q.lora_up.weight",
                A,
                [Fits, Misfit, Misfit],
            ),
            (
                "lora_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_q.lora_up.weight",
                A,
                [Misfit, Fits, Misfit],
            ),
            (
                "lora_unet_output_blocks_0_1_proj_in.lora_up.weight",
                A,
                [Misfit, Fits, Misfit],
            ),
            (
                "lora_unet_output_blocks_11_0_in_layers_2.lora_up.weight",
                A,
                [Fits, Misfit, Misfit],
            ),
            (
                "lora_unet_mid_block_attentions_0_transformer_blocks_9_ff_net_2.hada_w1_a",
                A,
                [Misfit, Fits, Misfit],
            ),
            (
                "unet.up_blocks.0.attentions.1.transformer_blocks.0.attn1.to_out.0.lora_A.weight",
                A,
                [Misfit, Fits, Misfit],
            ),
            (
                "unet.up_blocks.3.attentions.1.transformer_blocks.0.attn1.processor.to_q_lora.down.weight",
                A,
                [Fits, Misfit, Misfit],
            ),
            (
                "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight",
                A,
                [Misfit, Misfit, Fits],
            ),
            (
                "lora_unet_single_blocks_37_linear1.lora_down.weight",
                A,
                [Misfit, Misfit, Fits],
            ),
            (
                "transformer.single_transformer_blocks.0.attn.to_k.lora_A.weight",
                A,
                [Misfit, Misfit, Fits],
            ),
            (
                "transformer.transformer_blocks.0.attn.to_k.lora_B.weight",
                A,
                [Misfit, Misfit, Fits],
            ),
            (
                "diffusion_model.double_blocks.0.img_mod.lin.diff_b",
                A,
                [Misfit, Misfit, Fits],
            ),
            (
                "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight",
                A,
                [Fits, Misfit, Misfit],
            ),
            (
                "lora_te2_text_model_encoder_layers_31_mlp_fc1.lora_down.weight",
                A,
                [Misfit, Fits, Misfit],
            ),
            (
                "text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_linear_layer.up.weight",
                A,
                [Fits, Fits, Fits],
            ),
        ];
        for (name, shape, wanted) in cases {
            assert_eq!(fits(&[(name, shape)]), wanted, "{name}");
        }
    }

    #[test]
    fn all_layers_together_decide() {
        let shared = ("lora_unet_mid_block_attentions_0_proj_in.lora_down.weight", A);
        let deep = (
            "lora_unet_mid_block_attentions_0_transformer_blocks_3_attn1_to_q.lora_down.weight",
            A,
        );
        let text = ("lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", A);
        assert_eq!(fits(&[shared])[..2], [LoraFit::Fits; 2]);
        assert_eq!(fits(&[shared, deep])[..2], [LoraFit::Misfit, LoraFit::Fits]);
        assert_eq!(fits(&[text, shared, deep])[1], LoraFit::Fits);
    }

    #[test]
    fn what_is_no_lora_is_told_from_what_is_unknown() {
        assert_eq!(fits(&[]), [LoraFit::NoLora; 3]);
        assert_eq!(
            fits(&[("model.diffusion_model.input_blocks.1.1.proj_in.weight", A)]),
            [LoraFit::NoLora; 3]
        );
        assert_eq!(
            fits(&[("lora_unet_blocks_0_cross_attn_k.lora_down.weight", A)]),
            [LoraFit::Unknown; 3]
        );
        let flux = ("lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight", A);
        assert_eq!(lora_fit(&Arch::Sd3, [flux]), LoraFit::Unknown);
    }
}
