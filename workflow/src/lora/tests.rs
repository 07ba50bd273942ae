use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

type Tensor<'a> = (&'a str, &'a [u64]);

fn read(arch: &Arch, tensors: &[Tensor<'_>]) -> LoraReading {
    read_lora(arch, tensors.iter().copied())
}

fn fits(tensors: &[Tensor<'_>]) -> [LoraFit; 3] {
    [Arch::Sd15, Arch::Illu, Arch::Flux].map(|arch| read(&arch, tensors).fit)
}

/// What one tensor of a LoRA comes to, in the words of the documentation.
fn outcome(arch: &Arch, name: &str, shape: &[u64]) -> String {
    let reading = read(arch, &[(name, shape)]);
    let renamed = reading.renamed.get(name);
    match reading.fit {
        LoraFit::Fits => renamed.map_or("as it is".to_owned(), |new| format!("`{}`", new.name)),
        LoraFit::Misfit => "left out".into(),
        LoraFit::Unknown => "warns".into(),
        LoraFit::NoLora => "no LoRA".into(),
    }
}

#[test]
fn the_table_in_the_documentation_is_true() {
    let page = include_str!("../../../docs/loras.md");
    let mut rows = 0;
    for line in page.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [_, model, name, shape, wanted] = cells.as_slice() else {
            panic!("{line}")
        };
        let archs: &[Arch] = match *model {
            "SD1.5" => &[Arch::Sd15],
            "SDXL" => &[Arch::Sdxl, Arch::Illu, Arch::IlluV],
            "Flux.1" => &[Arch::Flux],
            other => panic!("{other}"),
        };
        let shape: Vec<u64> = shape.split(" × ").map(|side| side.parse().unwrap()).collect();
        for arch in archs {
            assert_eq!(outcome(arch, name.trim_matches('`'), &shape), *wanted, "{line}");
        }
        rows += 1;
    }
    assert!(rows > 50, "the table must be found");
}

#[test]
fn widths_of_all_tensors_decide() {
    use LoraFit::{Fits, Misfit};
    let lokr = |second: &'static [u64]| {
        [
            (
                "lycoris_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lokr_w1",
                [8, 8].as_slice(),
            ),
            (
                "lycoris_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lokr_w2",
                second,
            ),
        ]
    };
    assert_eq!(fits(&lokr(&[80, 96])), [Fits, Misfit, Misfit]);
    assert_eq!(fits(&lokr(&[80, 256])), [Misfit, Fits, Misfit]);
    // Klein has as wide layers as Flux.1, but others behind them.
    let qkv = "diffusion_model.double_blocks.0.img_attn.qkv";
    let mlp = "diffusion_model.double_blocks.0.img_mlp.0";
    let pair = |up: u64| {
        let tensors: [(String, Vec<u64>); 4] = [
            (format!("{qkv}.lora_A.weight"), vec![8, 3072]),
            (format!("{qkv}.lora_B.weight"), vec![9216, 8]),
            (format!("{mlp}.lora_A.weight"), vec![8, 3072]),
            (format!("{mlp}.lora_B.weight"), vec![up, 8]),
        ];
        read_lora(
            &Arch::Flux,
            tensors.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())),
        )
        .fit
    };
    assert_eq!([pair(12288), pair(18432)], [Fits, Misfit]);
    // In this form of LoHa the sides lie the other way round.
    let loha = "lora_unet_down_blocks_0_resnets_0_conv1";
    let tucker = [
        (format!("{loha}.hada_t1"), vec![4, 4, 3, 3]),
        (format!("{loha}.hada_w1_a"), vec![4, 320]),
        (format!("{loha}.hada_w1_b"), vec![4, 320]),
    ];
    let tucker = tucker.iter().map(|(name, shape)| (name.as_str(), shape.as_slice()));
    assert_eq!(read_lora(&Arch::Sd15, tucker).fit, Fits);
}

#[test]
fn all_layers_together_decide() {
    use LoraFit::{Fits, Misfit, Unknown};
    let shared: Tensor<'_> = ("lora_unet_mid_block_attentions_0_proj_in.lora_down.weight", &[8, 1280]);
    let deep: Tensor<'_> = (
        "lora_unet_mid_block_attentions_0_transformer_blocks_3_attn1_to_q.lora_down.weight",
        &[8, 1280],
    );
    let text: Tensor<'_> = (
        "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight",
        &[8, 768],
    );
    let strange: Tensor<'_> = ("lora_unet_blocks_0_cross_attn_k.lora_down.weight", &[4, 64]);
    assert_eq!(fits(&[shared])[..2], [Fits; 2]);
    assert_eq!(fits(&[shared, deep])[..2], [Misfit, Fits]);
    assert_eq!(fits(&[text, shared, deep])[1], Fits);
    assert_eq!(fits(&[shared, strange])[0], Unknown);
    assert_eq!(fits(&[strange, shared, deep])[0], Misfit);
}

#[test]
fn what_is_no_lora_is_told_from_what_is_unknown() {
    const A: &[u64] = &[8, 320];
    assert_eq!(fits(&[]), [LoraFit::NoLora; 3]);
    assert_eq!(
        fits(&[("model.diffusion_model.input_blocks.1.1.proj_in.weight", A)]),
        [LoraFit::NoLora; 3]
    );
    let flux: Tensor<'_> = ("lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight", &[8, 3072]);
    assert_eq!(read(&Arch::Sd3, &[flux]), LoraReading::as_it_is(LoraFit::Unknown));
}

#[test]
fn a_layer_is_renamed_whole() {
    let reading = read(
        &Arch::Sd15,
        &[
            (
                "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight",
                &[4, 320],
            ),
            (
                "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_B.weight",
                &[320, 4],
            ),
            (
                "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.alpha",
                &[],
            ),
            (
                "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_magnitude_vector",
                &[320],
            ),
        ],
    );
    let names: Vec<_> = reading
        .renamed
        .values()
        .map(|new| (new.name.as_str(), new.shape.as_deref()))
        .collect();
    let q = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q";
    let wanted = [".alpha", ".lora_A.weight", ".lora_B.weight", ".dora_scale"].map(|part| format!("{q}{part}"));
    let wanted = [None, None, None, Some([320, 1].as_slice())]
        .into_iter()
        .zip(&wanted)
        .map(|(shape, name)| (name.as_str(), shape));
    assert_eq!(names, wanted.collect::<Vec<_>>());
    assert_eq!(reading.fit, LoraFit::Fits);
    // Where a prefix is read, only the part is renamed, or the layer would be torn apart.
    let dora = read(
        &Arch::Flux,
        &[
            (
                "transformer.single_transformer_blocks.0.attn.to_k.lora_A.weight",
                &[4, 3072],
            ),
            (
                "transformer.single_transformer_blocks.0.attn.to_k.lora_magnitude_vector",
                &[3072],
            ),
        ],
    );
    let names: Vec<_> = dora.renamed.values().map(|new| new.name.as_str()).collect();
    assert_eq!(names, ["transformer.single_transformer_blocks.0.attn.to_k.dora_scale"]);
}

#[test]
fn names_that_meet_are_left_as_they_are() {
    let q = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight";
    let twice = [format!("unet.{q}"), format!("base_model.model.{q}")];
    let reading = read_lora(
        &Arch::Sd15,
        twice.iter().map(|name| (name.as_str(), [4, 320].as_slice())),
    );
    assert_eq!(reading, LoraReading::as_it_is(LoraFit::Unknown));
}

/// Black Forest Labs' LoRAs for depth and edges change norms, too; ComfyUI knows them by those.
#[test]
fn the_flux_tools_are_left_to_comfyui() {
    let reading = read(
        &Arch::Flux,
        &[
            ("img_in.lora_A.weight", &[128, 128]),
            ("img_in.lora_B.bias", &[3072]),
            ("double_blocks.0.img_attn.qkv.lora_A.weight", &[128, 3072]),
            ("single_blocks.0.norm.key_norm.scale", &[128]),
        ],
    );
    assert_eq!(reading, LoraReading::as_it_is(LoraFit::Fits));
}

const PREFIXES: [&str; 12] = [
    "lora_unet_",
    "lora_transformer_",
    "lycoris_",
    "transformer.",
    "unet.",
    "diffusion_model.",
    "model.diffusion_model.",
    "base_model.model.",
    "transformer.base_model.model.",
    "text_encoder.",
    "lora_te_",
    "",
];
const ENDS: [&str; 6] = [
    ".lora_A.weight",
    ".lora_down.weight",
    ".alpha",
    ".lokr_w1",
    ".lora_magnitude_vector",
    "_lora.up.weight",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// What was renamed once is read as it is, means the same, and two tensors never become one.
    #[test]
    fn renaming_ends(
        pieces in prop::collection::vec((0..PREFIXES.len(), any::<prop::sample::Index>(), 0..ENDS.len()), 1..12),
        dots in any::<bool>(),
        flux in any::<bool>(),
        noise in "[a-z_.0-9]{0,12}",
    ) {
        let (arch, family) = if flux { (Arch::Flux, Family::Flux) } else { (Arch::Sdxl, Family::Sdxl) };
        let layers: Vec<_> = layers::of_model(family).into_keys().collect();
        let mut names: BTreeSet<String> = pieces
            .iter()
            .map(|(prefix, layer, end)| {
                let layer = layer.get(&layers);
                let layer = if dots { layer.replace('_', ".") } else { layer.clone() };
                format!("{}{layer}{}", PREFIXES[*prefix], ENDS[*end])
            })
            .collect();
        names.insert(noise);
        let read = |names: &BTreeSet<String>| read_lora(&arch, names.iter().map(|name| (name.as_str(), [].as_slice())));
        let first = read(&names);
        let renamed: BTreeSet<_> = names
            .iter()
            .map(|name| first.renamed.get(name).map_or(name.clone(), |new| new.name.clone()))
            .collect();
        prop_assert_eq!(renamed.len(), names.len());
        let second = read(&renamed);
        prop_assert_eq!(second.fit, first.fit);
        if first.fit == LoraFit::Fits {
            prop_assert!(second.renamed.is_empty(), "{:?}", second);
        }
    }
}
