//! How trainers name a tensor: a prefix for the model, the layer, and the part of the adapter.

use super::layers::Naming;

/// What of a model a tensor changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// The diffusion model.
    Model,
    /// The text encoder of a model that has but one.
    OnlyText,
    /// The first text encoder, or the only one.
    Text,
    /// The second text encoder.
    SecondText,
}

/// Prefixes of the diffusion model, longest first where one begins another; none at all comes last. With whose names of
/// layers ComfyUI (0.3.75) reads the prefix as it is: of U-Nets, and of Flux. Anything else is renamed.
const MODEL: [(&str, &[Naming], &[Naming]); 14] = {
    use Naming::{Diffusers, Original};
    [
        ("lora_unet_", &[Original, Diffusers], &[Original]),
        ("lora_transformer_", &[], &[Diffusers]),
        ("lycoris_unet_", &[], &[]),
        ("lycoris_", &[Diffusers], &[Diffusers]),
        ("model.diffusion_model.", &[], &[]),
        ("diffusion_model.", &[Original], &[Original]),
        ("transformer.base_model.model.", &[], &[]),
        ("unet.base_model.model.", &[], &[]),
        ("base_model.model.transformer.", &[], &[]),
        ("base_model.model.unet.", &[], &[]),
        ("base_model.model.", &[], &[]),
        ("transformer.", &[], &[Diffusers]),
        ("unet.", &[], &[]),
        ("", &[], &[]),
    ]
};

/// Prefixes of text encoders, and whether ComfyUI reads them as they are.
const TEXT: [(&str, Side, bool); 10] = [
    ("lora_te_", Side::OnlyText, true),
    ("lora_te1_", Side::Text, true),
    ("lora_te2_", Side::SecondText, true),
    ("text_encoder_2.base_model.model.", Side::SecondText, false),
    ("text_encoder_2.", Side::SecondText, false),
    ("text_encoder.base_model.model.", Side::Text, false),
    ("text_encoder.", Side::Text, false),
    ("base_model.model.text_encoder.", Side::Text, false),
    ("base_model.model.text_model.", Side::Text, false),
    ("text_model.", Side::Text, false),
];

/// Which width of the layer a side of a tensor tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// What it is called, dot included.
    pub(super) name: &'static str,
    /// The side that is as long as the layer's weight is high.
    pub(super) rows: Option<usize>,
    /// The side that is as long as it is wide.
    pub(super) columns: Option<usize>,
    /// Whether the weight's side is the product of those of all such parts.
    pub(super) product: bool,
    /// Whether ComfyUI reads it.
    pub(super) read: bool,
    /// Whether the other parts of the layer have their sides in another order.
    pub(super) core: bool,
}

const fn part(name: &'static str, rows: Option<usize>, columns: Option<usize>) -> Part {
    Part {
        name,
        rows,
        columns,
        product: false,
        read: true,
        core: false,
    }
}

const fn down(name: &'static str) -> Part {
    part(name, None, Some(1))
}

const fn up(name: &'static str) -> Part {
    part(name, Some(0), None)
}

const fn factor(name: &'static str, rows: Option<usize>, columns: Option<usize>) -> Part {
    Part {
        product: true,
        ..part(name, rows, columns)
    }
}

const fn other(name: &'static str) -> Part {
    part(name, None, None)
}

const fn core(name: &'static str) -> Part {
    Part {
        core: true,
        ..part(name, None, None)
    }
}

const fn unread(name: &'static str) -> Part {
    Part {
        read: false,
        ..part(name, None, None)
    }
}

/// What PEFT calls the magnitudes of a DoRA; ComfyUI knows them by another name.
pub(super) const MAGNITUDES: [&str; 2] = [".lora_magnitude_vector", ".lora_magnitude_vector.weight"];
/// What ComfyUI calls them.
pub(super) const DORA_SCALE: &str = ".dora_scale";

/// The parts of all adapters: LoRA, LoCon and DoRA by each trainer, LoHa, LoKr, OFT, GLoRA, whole differences.
const PARTS: [Part; 51] = [
    down(".lora_down.weight"),
    up(".lora_up.weight"),
    other(".lora_mid.weight"),
    down(".lora_A.weight"),
    up(".lora_B.weight"),
    down(".lora_A.default.weight"),
    up(".lora_B.default.weight"),
    down(".lora_A"),
    up(".lora_B"),
    down(".lora.down.weight"),
    up(".lora.up.weight"),
    down("_lora.down.weight"),
    up("_lora.up.weight"),
    down(".lora_linear_layer.down.weight"),
    up(".lora_linear_layer.up.weight"),
    other(".alpha"),
    other(DORA_SCALE),
    other(MAGNITUDES[0]),
    other(MAGNITUDES[1]),
    up(".hada_w1_a"),
    down(".hada_w1_b"),
    up(".hada_w2_a"),
    down(".hada_w2_b"),
    core(".hada_t1"),
    core(".hada_t2"),
    factor(".lokr_w1", Some(0), Some(1)),
    factor(".lokr_w2", Some(0), Some(1)),
    factor(".lokr_w1_a", Some(0), None),
    factor(".lokr_w1_b", None, Some(1)),
    factor(".lokr_w2_a", Some(0), None),
    factor(".lokr_w2_b", None, Some(1)),
    core(".lokr_t2"),
    other(".oft_blocks"),
    other(".rescale"),
    other(".a1.weight"),
    other(".a2.weight"),
    other(".b1.weight"),
    other(".b2.weight"),
    part(".diff", Some(0), Some(1)),
    up(".diff_b"),
    part(".set_weight", Some(0), Some(1)),
    up(".w_norm"),
    up(".b_norm"),
    unread(".lora_B.bias"),
    unread(".oft_diag"),
    unread(".oft_R.weight"),
    unread(".on_input"),
    unread(".vera_lambda_b"),
    unread(".vera_lambda_d"),
    unread(".boft_R"),
    unread(".boft_s"),
];

/// A tensor's name in its pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name<'a> {
    /// All before the part.
    before: &'a str,
    prefix: &'a str,
    /// With underscores.
    pub(super) layer: String,
    pub(super) side: Side,
    pub(super) part: Part,
}

/// What part of an adapter a name ends with, and what is before it.
pub(super) fn part_of(name: &str) -> Option<(&str, Part)> {
    let fitting = PARTS.iter().filter(|part| name.ends_with(part.name));
    let part = fitting.max_by_key(|part| part.name.len())?;
    Some((name.strip_suffix(part.name)?, *part))
}

/// A tensor's name in its pieces; none if it is no adapter's.
pub(super) fn parse(name: &str) -> Option<Name<'_>> {
    let (before, part) = part_of(name)?;
    let begins = |prefix: &str| before.starts_with(prefix);
    let (prefix, side) = match TEXT.iter().find(|(prefix, ..)| begins(prefix)) {
        // The encoder's own name is the beginning of its layers'.
        Some((prefix, side, _)) => (prefix.strip_suffix("text_model.").unwrap_or(prefix), *side),
        None => (MODEL.iter().find(|(prefix, ..)| begins(prefix))?.0, Side::Model),
    };
    let layer = before[prefix.len()..].replace(".processor.", ".").replace('.', "_");
    let mut layer = layer.trim_end_matches('_').to_owned();
    if side == Side::Model && layer.ends_with("_to_out") {
        layer.push_str("_0");
    }
    Some(Name {
        before,
        prefix,
        layer,
        side,
        part,
    })
}

impl Name<'_> {
    /// The name by which ComfyUI reads this tensor of a layer.
    pub(super) fn readable(&self, naming: Naming, flux: bool) -> String {
        let part = if MAGNITUDES.contains(&self.part.name) {
            DORA_SCALE
        } else {
            self.part.name
        };
        // What a layer lost on the way (a trailing underscore) is in no name that ComfyUI has.
        let whole = self.before.replace('.', "_") == format!("{}{}", self.prefix, self.layer).replace('.', "_");
        if whole && self.is_read(naming, flux) {
            return format!("{}{part}", self.before);
        }
        let prefix = match self.side {
            Side::OnlyText => "lora_te_",
            Side::Text => "lora_te1_",
            Side::SecondText => "lora_te2_",
            Side::Model if flux && naming == Naming::Diffusers => "lora_transformer_",
            Side::Model => "lora_unet_",
        };
        format!("{prefix}{}{part}", self.layer)
    }

    /// Whether ComfyUI reads such layers with this prefix.
    fn is_read(&self, naming: Naming, flux: bool) -> bool {
        if self.side != Side::Model {
            return TEXT.iter().any(|(prefix, _, read)| *read && *prefix == self.prefix);
        }
        let read = MODEL.iter().find(|(prefix, ..)| *prefix == self.prefix);
        read.is_some_and(|(_, unet, of_flux)| (if flux { of_flux } else { unet }).contains(&naming))
    }
}
