//! Which models a LoRA is made for, by the names and shapes of its tensors.
//!
//! A LoRA says nowhere reliably what it belongs to, but each of its tensors names the layer that it changes, and models of
//! different architectures have different layers. The names come in the dialects of the trainers (kohya's `lora_unet_…`
//! with underscores, diffusers' `unet.….lora_A`, Flux's own `double_blocks`), which are read alike with all dots as
//! underscores.

mod layers;

use crate::{models::Family, wire::Arch};
use layers::{Made, is_adapter, of_model, of_text_encoder};

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
