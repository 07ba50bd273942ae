//! The layers of each architecture that a LoRA can change, by both of their names, with their widths.
//!
//! Names have underscores for dots, as kohya's trainer writes them: each of these is unique that way.

use std::collections::BTreeMap;

use crate::models::Family;

/// Who named a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// The authors of the model, whose names ComfyUI has, too.
    Original,
    /// The library diffusers.
    Diffusers,
}

/// One layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) naming: Naming,
    /// Rows and columns of its weight: what it gives and what it takes in. None where models of one kind differ.
    pub(super) widths: [Option<u64>; 2],
}

/// By name.
pub(super) type Layers = BTreeMap<String, Layer>;

/// Every layer of the diffusion model.
pub(super) fn of_model(family: Family) -> Layers {
    match family {
        Family::Sd15 => unet(&SD15),
        Family::Sdxl => unet(&SDXL),
        Family::Flux => flux(),
    }
}

/// The layers of a text encoder of the kind CLIP, of so many blocks and so wide.
pub(super) fn of_clip(blocks: usize, width: u64) -> Layers {
    let mut all = Namer::default();
    for block in 0..blocks {
        let layer = |part: &str| format!("text_model_encoder_layers_{block}_{part}");
        for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            let name = layer(&format!("self_attn_{part}"));
            all.put(&name, &name, width, width);
        }
        all.put(&layer("mlp_fc1"), &layer("mlp_fc1"), 4 * width, width);
        all.put(&layer("mlp_fc2"), &layer("mlp_fc2"), width, 4 * width);
    }
    all.0
}

#[derive(Default)]
struct Namer(Layers);

impl Namer {
    /// A layer by its original name and by that of diffusers.
    fn put(&mut self, original: &str, diffusers: &str, gives: u64, takes: u64) {
        self.any(original, diffusers, [Some(gives), Some(takes)]);
    }

    fn any(&mut self, original: &str, diffusers: &str, widths: [Option<u64>; 2]) {
        for (name, naming) in [(original, Naming::Original), (diffusers, Naming::Diffusers)] {
            self.0.entry(name.to_owned()).or_insert(Layer { naming, widths });
        }
    }

    fn norm(&mut self, original: &str, diffusers: &str, width: u64) {
        self.any(original, diffusers, [Some(width), None]);
    }
}

/// What makes one U-Net another.
struct UNet {
    /// Channels of each level, and how many transformers one place of it has.
    levels: &'static [(u64, usize)],
    /// Transformers in the middle.
    middle: usize,
    /// Width of the encoded text.
    context: u64,
    /// Width of what else is embedded (sizes, pooled text).
    extra: Option<u64>,
}

const SD15: UNet = UNet {
    levels: &[(320, 1), (640, 1), (1280, 1), (1280, 0)],
    middle: 1,
    context: 768,
    extra: None,
};
const SDXL: UNet = UNet {
    levels: &[(320, 0), (640, 2), (1280, 10)],
    middle: 10,
    context: 2048,
    extra: Some(2816),
};
/// Width of the embedded time.
const TIME: u64 = 1280;

fn unet(model: &UNet) -> Layers {
    let mut all = Namer::default();
    let (first, last) = (model.levels[0].0, model.levels.len() - 1);
    all.any("input_blocks_0_0", "conv_in", [Some(first), None]);
    all.put("time_embed_0", "time_embedding_linear_1", TIME, first);
    all.put("time_embed_2", "time_embedding_linear_2", TIME, TIME);
    if let Some(extra) = model.extra {
        all.put("label_emb_0_0", "add_embedding_linear_1", TIME, extra);
        all.put("label_emb_0_2", "add_embedding_linear_2", TIME, TIME);
    }
    let (mut block, mut channels, mut skips) = (1, first, vec![first]);
    for (level, (width, depth)) in model.levels.iter().copied().enumerate() {
        for place in 0..2 {
            let (original, diffusers) = (format!("input_blocks_{block}"), format!("down_blocks_{level}"));
            residual(
                &mut all,
                [&format!("{original}_0"), &format!("{diffusers}_resnets_{place}")],
                channels,
                width,
            );
            transformers(
                &mut all,
                [&format!("{original}_1"), &format!("{diffusers}_attentions_{place}")],
                model.context,
                width,
                depth,
            );
            channels = width;
            skips.push(channels);
            block += 1;
        }
        if level < last {
            let down = format!("down_blocks_{level}_downsamplers_0_conv");
            all.put(&format!("input_blocks_{block}_0_op"), &down, channels, channels);
            skips.push(channels);
            block += 1;
        }
    }
    residual(&mut all, ["middle_block_0", "mid_block_resnets_0"], channels, channels);
    transformers(
        &mut all,
        ["middle_block_1", "mid_block_attentions_0"],
        model.context,
        channels,
        model.middle,
    );
    residual(&mut all, ["middle_block_2", "mid_block_resnets_1"], channels, channels);
    for (level, (width, depth)) in model.levels.iter().rev().copied().enumerate() {
        for place in 0..3 {
            let skip = skips.pop().unwrap_or_default();
            let (original, diffusers) = (
                format!("output_blocks_{}", 3 * level + place),
                format!("up_blocks_{level}"),
            );
            residual(
                &mut all,
                [&format!("{original}_0"), &format!("{diffusers}_resnets_{place}")],
                channels + skip,
                width,
            );
            transformers(
                &mut all,
                [&format!("{original}_1"), &format!("{diffusers}_attentions_{place}")],
                model.context,
                width,
                depth,
            );
            channels = width;
            if place == 2 && level < last {
                let up = format!("{original}_{}_conv", if depth > 0 { 2 } else { 1 });
                all.put(&up, &format!("{diffusers}_upsamplers_0_conv"), width, width);
            }
        }
    }
    all.norm("out_0", "conv_norm_out", first);
    all.any("out_2", "conv_out", [None, Some(first)]);
    all.0
}

fn residual(all: &mut Namer, [original, diffusers]: [&str; 2], takes: u64, gives: u64) {
    let mut put = |parts: [&str; 2], gives: u64, takes: Option<u64>| {
        let names = (format!("{original}_{}", parts[0]), format!("{diffusers}_{}", parts[1]));
        all.any(&names.0, &names.1, [Some(gives), takes]);
    };
    put(["in_layers_0", "norm1"], takes, None);
    put(["in_layers_2", "conv1"], gives, Some(takes));
    put(["emb_layers_1", "time_emb_proj"], gives, Some(TIME));
    put(["out_layers_0", "norm2"], gives, None);
    put(["out_layers_3", "conv2"], gives, Some(gives));
    if takes != gives {
        put(["skip_connection", "conv_shortcut"], gives, Some(takes));
    }
}

fn transformers(all: &mut Namer, [original, diffusers]: [&str; 2], context: u64, width: u64, depth: usize) {
    if depth == 0 {
        return;
    }
    let mut put = |part: &str, gives: u64, takes: Option<u64>| {
        all.any(
            &format!("{original}_{part}"),
            &format!("{diffusers}_{part}"),
            [Some(gives), takes],
        );
    };
    put("norm", width, None);
    put("proj_in", width, Some(width));
    put("proj_out", width, Some(width));
    for place in 0..depth {
        let block = format!("transformer_blocks_{place}");
        for (attention, takes) in [("attn1", width), ("attn2", context)] {
            for (part, takes) in [("to_q", width), ("to_k", takes), ("to_v", takes), ("to_out_0", width)] {
                put(&format!("{block}_{attention}_{part}"), width, Some(takes));
            }
        }
        put(&format!("{block}_ff_net_0_proj"), 8 * width, Some(width));
        put(&format!("{block}_ff_net_2"), width, Some(4 * width));
        for norm in ["norm1", "norm2", "norm3"] {
            put(&format!("{block}_{norm}"), width, None);
        }
    }
}

/// Flux.1: 19 double blocks and 38 single ones, 3072 wide.
fn flux() -> Layers {
    const WIDTH: u64 = 3072;
    let mut all = Namer::default();
    let mut put = |naming, name: String, gives: u64, takes: u64| {
        let widths = [Some(gives), Some(takes)];
        all.0.insert(name, Layer { naming, widths });
    };
    for block in 0..19 {
        for (side, context) in [("img", ""), ("txt", "_context")] {
            let mut original = |part: &str, gives, takes| {
                put(
                    Naming::Original,
                    format!("double_blocks_{block}_{side}_{part}"),
                    gives,
                    takes,
                );
            };
            original("attn_qkv", 3 * WIDTH, WIDTH);
            original("attn_proj", WIDTH, WIDTH);
            original("mlp_0", 4 * WIDTH, WIDTH);
            original("mlp_2", WIDTH, 4 * WIDTH);
            original("mod_lin", 6 * WIDTH, WIDTH);
            let mut diffusers = |part: &str, gives, takes| {
                put(
                    Naming::Diffusers,
                    format!("transformer_blocks_{block}_{part}"),
                    gives,
                    takes,
                );
            };
            let attention = if context.is_empty() {
                ["to_q", "to_k", "to_v", "to_out_0"]
            } else {
                ["add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"]
            };
            for part in attention {
                diffusers(&format!("attn_{part}"), WIDTH, WIDTH);
            }
            diffusers(&format!("ff{context}_net_0_proj"), 4 * WIDTH, WIDTH);
            diffusers(&format!("ff{context}_net_2"), WIDTH, 4 * WIDTH);
            diffusers(&format!("norm1{context}_linear"), 6 * WIDTH, WIDTH);
        }
    }
    for block in 0..38 {
        let mut original = |part: &str, gives, takes| {
            put(Naming::Original, format!("single_blocks_{block}_{part}"), gives, takes);
        };
        original("linear1", 7 * WIDTH, WIDTH);
        original("linear2", WIDTH, 5 * WIDTH);
        original("modulation_lin", 3 * WIDTH, WIDTH);
        let mut diffusers = |part: &str, gives, takes| {
            put(
                Naming::Diffusers,
                format!("single_transformer_blocks_{block}_{part}"),
                gives,
                takes,
            );
        };
        for part in ["attn_to_q", "attn_to_k", "attn_to_v"] {
            diffusers(part, WIDTH, WIDTH);
        }
        diffusers("proj_mlp", 4 * WIDTH, WIDTH);
        diffusers("proj_out", WIDTH, 5 * WIDTH);
        diffusers("norm_linear", 3 * WIDTH, WIDTH);
    }
    // Variants that are shown a picture or its edges take more in.
    all.any("img_in", "x_embedder", [Some(WIDTH), None]);
    all.put("txt_in", "context_embedder", WIDTH, 4096);
    for (original, diffusers, takes) in [
        ("time_in", "timestep_embedder", 256),
        ("vector_in", "text_embedder", 768),
        ("guidance_in", "guidance_embedder", 256),
    ] {
        let diffusers = |place: u8| format!("time_text_embed_{diffusers}_linear_{place}");
        all.put(&format!("{original}_in_layer"), &diffusers(1), WIDTH, takes);
        all.put(&format!("{original}_out_layer"), &diffusers(2), WIDTH, WIDTH);
    }
    all.put("final_layer_adaLN_modulation_1", "norm_out_linear", 2 * WIDTH, WIDTH);
    all.put("final_layer_linear", "proj_out", 64, WIDTH);
    all.0
}
