//! Which models have a layer of this name.

/// What something can be a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) sd15: bool,
    pub(super) sdxl: bool,
    pub(super) flux: bool,
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
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            sd15: self.sd15 && other.sd15,
            sdxl: self.sdxl && other.sdxl,
            flux: self.flux && other.flux,
        }
    }
}

/// LoRA, LoCon, LoHa, LoKr, OFT, GLoRA, DoRA, and plain differences.
pub(super) fn is_adapter(name: &str) -> bool {
    ["lora", "hada_", "lokr_", "oft_"]
        .iter()
        .any(|part| name.contains(part))
        || [".diff", ".diff_b", ".dora_scale", ".a1.weight", ".b1.weight"]
            .iter()
            .any(|end| name.ends_with(end))
}

pub(super) fn of_model(layer: &str, shape: &[u64]) -> Option<Made> {
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

pub(super) fn of_text_encoder(layer: &str) -> Option<Made> {
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
