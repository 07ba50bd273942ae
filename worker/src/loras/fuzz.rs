//! Files that are said to be LoRAs, as nobody meant them: read in the bounds of the file, or refused.

use fuzz::{Chance, Sample};
use serde_json::{Value, json};
use workflow::{Arch, LoraFit, read_lora};

use crate::files::{self, HeaderError};

/// Headers in the words of some trainers.
fn headers() -> Vec<Value> {
    let layers: [&[(&str, &[u64])]; 4] = [
        &[
            ("lora_unet_input_blocks_1_1_proj_in.lora_down.weight", &[4, 320, 1, 1]),
            ("lora_unet_input_blocks_1_1_proj_in.lora_up.weight", &[320, 4, 1, 1]),
            ("lora_unet_input_blocks_1_1_proj_in.alpha", &[]),
        ],
        &[
            (
                "lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight",
                &[8, 768],
            ),
            (
                "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight",
                &[8, 2048],
            ),
        ],
        &[
            (
                "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight",
                &[4, 320],
            ),
            (
                "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight",
                &[16, 3072],
            ),
        ],
        &[
            ("lora_unet_double_blocks_0_img_attn_qkv.hada_w1_a", &[9216, 4]),
            ("diffusion_model.double_blocks.0.img_mod.lin.lokr_w1", &[4, 4]),
        ],
    ];
    let header = |layers: &&[(&str, &[u64])]| {
        let mut header = json!({ "__metadata__": { "ss_network_dim": "8", "ss_base_model_version": "sd_v1" } });
        let mut end = 0;
        for (name, shape) in *layers {
            let begin = end;
            end += 2 * shape.iter().product::<u64>();
            header[name] = json!({ "dtype": "F16", "shape": shape, "data_offsets": [begin, end] });
        }
        header
    };
    layers.iter().map(header).collect()
}

#[test]
fn fuzz_headers() {
    let headers = headers();
    let make = |chance: &mut Chance| {
        let header = chance.json(&headers);
        let length = if chance.seldom(10) {
            chance.number()
        } else {
            header.len() as u64
        };
        let file = Sample([length.to_le_bytes().as_slice(), &header].concat());
        let data = if chance.seldom(4) { chance.number() } else { 1 << 20 };
        (file, data)
    };
    let taken = |(file, data): &(Sample, u64)| {
        let size = (file.len() as u64).saturating_add(*data);
        let header = match files::begin(&file[..], size) {
            Ok(header) => header,
            Err(HeaderError::Read(error)) => panic!("{error}"),
            Err(HeaderError::NotSafetensors | HeaderError::Damaged) => return false,
        };
        let tensors = &header.tensors;
        assert!(tensors.len() < file.len());
        let named = || tensors.iter().map(|(name, it)| (name.as_str(), it.shape.as_slice()));
        let readings = [Arch::Sd15, Arch::Sdxl, Arch::Flux].map(|arch| read_lora(&arch, named()));
        for reading in &readings {
            assert!(reading.renamed.len() <= tensors.len());
        }
        // Whether it is one at all does not hang on the checkpoint.
        let nones = readings.iter().filter(|it| it.fit == LoraFit::NoLora).count();
        assert!(nones == 0 || nones == readings.len(), "{readings:?}");
        nones == 0
    };
    fuzz::run(300, make, taken);
}
