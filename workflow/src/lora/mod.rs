//! What a LoRA is good for, by the names and shapes of its tensors, and how ComfyUI must find them named.
//!
//! A LoRA says nowhere reliably what it belongs to, but each of its tensors names the layer that it changes, and models of
//! different architectures have other layers, or wider ones. The names come in the dialects of the trainers, of which
//! ComfyUI passes over some without a word; those are renamed. `docs/loras.md` lists them, and each line of
//! its table is tested.

mod dialect;
mod layers;

use std::collections::{BTreeMap, BTreeSet};

use crate::{models::Family, wire::Arch};
use dialect::{DORA_SCALE, Name, Side};
use layers::{Layer, Layers};

/// What a LoRA can do for a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoraFit {
    /// It is made for such models, or for all.
    Fits,
    /// It is made for other models.
    Misfit,
    /// Some of it or all is in no known dialect, or of a kind that ComfyUI does not know.
    Unknown,
    /// No tensor is one of a LoRA or its relatives.
    NoLora,
}

/// How ComfyUI must find a tensor instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// Its name.
    pub name: String,
    /// Its shape, if that changes too; as many elements.
    pub shape: Option<Vec<u64>>,
}

/// What is to be known of a LoRA before it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoraReading {
    /// How it fits the model.
    pub fit: LoraFit,
    /// The tensors, by name, that ComfyUI would pass over as they are.
    pub renamed: BTreeMap<String, Renamed>,
}

impl LoraReading {
    fn as_it_is(fit: LoraFit) -> Self {
        Self {
            fit,
            renamed: BTreeMap::new(),
        }
    }
}

/// Reads a LoRA with these tensors (name and shape) for models of this architecture.
pub fn read_lora<'a>(arch: &Arch, tensors: impl IntoIterator<Item = (&'a str, &'a [u64])>) -> LoraReading {
    let tensors: Vec<_> = tensors.into_iter().collect();
    if !tensors.iter().any(|(name, _)| is_adapter(name)) {
        return LoraReading::as_it_is(LoraFit::NoLora);
    }
    let Ok(family) = Family::parse(arch) else {
        return LoraReading::as_it_is(LoraFit::Unknown);
    };
    let known = Known::of(family);
    // Black Forest Labs' own: with new norms and biases, by which ComfyUI knows it, under the names of the model.
    let whole = tensors.iter().any(|(name, _)| name.ends_with(".norm.key_norm.scale"));
    let (mut layers, mut strange) = (BTreeMap::<_, Widths>::new(), false);
    let mut renamed = BTreeMap::new();
    for (name, shape) in tensors.iter().filter(|(name, _)| is_adapter(name)) {
        let Some(parsed) = dialect::parse(name) else {
            strange = true;
            continue;
        };
        strange |= !parsed.part.read && !whole;
        if let Some(layer) = known.layer(&parsed)
            && parsed.part.read
            && !whole
        {
            let readable = parsed.readable(layer.naming, family == Family::Flux);
            if readable != *name {
                // PEFT's magnitudes of a linear layer are a row; ComfyUI wants a column.
                let column = readable.ends_with(DORA_SCALE) && shape.len() == 1;
                let shape = column.then(|| vec![shape[0], 1]);
                renamed.insert((*name).to_owned(), Renamed { name: readable, shape });
            }
        }
        let widths = layers.entry((parsed.side, parsed.layer.clone())).or_default();
        widths.take(&parsed, shape);
    }
    let (mut model, mut text) = (Verdicts::default(), Verdicts::default());
    for ((side, layer), widths) in &layers {
        let verdicts = if *side == Side::Model { &mut model } else { &mut text };
        verdicts.add(known.verdict(*side, layer, widths));
    }
    // Text encoders are shared between architectures, so they count only where there is nothing else.
    let decides = if model.any() { &model } else { &text };
    let fit = if decides.conflict {
        LoraFit::Misfit
    } else if strange || model.unknown || text.unknown || !decides.fits {
        LoraFit::Unknown
    } else {
        LoraFit::Fits
    };
    let names: BTreeSet<_> = renamed.values().map(|new| new.name.as_str()).collect();
    let collide = names.len() < renamed.len()
        || tensors
            .iter()
            .any(|(name, _)| names.contains(name) && !renamed.contains_key(*name));
    match fit {
        LoraFit::Misfit => LoraReading::as_it_is(fit),
        _ if collide => LoraReading::as_it_is(LoraFit::Unknown),
        _ => LoraReading { fit, renamed },
    }
}

/// Whether a tensor is a part of a LoRA, LoCon, LoHa, LoKr, OFT, GLoRA, DoRA, or a plain difference.
fn is_adapter(name: &str) -> bool {
    dialect::part_of(name).is_some()
        || ["lora", "hada_", "lokr_", "oft_"]
            .iter()
            .any(|part| name.contains(part))
}

/// The layers of the model and of its text encoders.
struct Known {
    family: Family,
    model: Layers,
    text: Layers,
    second: Layers,
    /// Names of layers of every model known here, without their numbers.
    patterns: BTreeSet<String>,
}

impl Known {
    fn of(family: Family) -> Self {
        let all = [Family::Sd15, Family::Sdxl, Family::Flux].map(layers::of_model);
        Self {
            family,
            model: layers::of_model(family),
            text: layers::of_clip(12, 768),
            second: layers::of_clip(32, 1280),
            patterns: all.iter().flat_map(BTreeMap::keys).map(|name| pattern(name)).collect(),
        }
    }

    fn layer(&self, name: &Name<'_>) -> Option<&Layer> {
        self.layers(name.side)?.get(&name.layer)
    }

    fn layers(&self, side: Side) -> Option<&Layers> {
        match side {
            Side::Model => Some(&self.model),
            Side::OnlyText => (self.family == Family::Sd15).then_some(&self.text),
            Side::Text => Some(&self.text),
            Side::SecondText => (self.family == Family::Sdxl).then_some(&self.second),
        }
    }

    fn verdict(&self, side: Side, name: &str, widths: &Widths) -> Verdict {
        match self.layers(side).and_then(|layers| layers.get(name)) {
            Some(layer) if widths.fit(layer.widths) => Verdict::Fits,
            Some(_) => Verdict::Conflict,
            // A block that only other models have.
            None if side == Side::Model && self.patterns.contains(&pattern(name)) => Verdict::Conflict,
            None if side != Side::Model && name.starts_with("text_model_") => Verdict::Conflict,
            None => Verdict::Unknown,
        }
    }
}

/// A layer's name without its numbers.
fn pattern(name: &str) -> String {
    let pieces = name.split('_');
    let pieces = pieces.map(|piece| {
        if piece.bytes().all(|byte| byte.is_ascii_digit()) {
            "#"
        } else {
            piece
        }
    });
    pieces.collect::<Vec<_>>().join("_")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Fits,
    Conflict,
    Unknown,
}

/// What was found of the layers of one side.
#[derive(Debug, Default)]
struct Verdicts {
    fits: bool,
    conflict: bool,
    unknown: bool,
}

impl Verdicts {
    fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Fits => self.fits = true,
            Verdict::Conflict => self.conflict = true,
            Verdict::Unknown => self.unknown = true,
        }
    }

    fn any(&self) -> bool {
        self.fits || self.conflict || self.unknown
    }
}

/// How high and wide the weight must be that a layer's tensors change, as far as they tell.
#[derive(Debug, Default)]
struct Widths {
    sides: [Option<u64>; 2],
    /// Of a product of two, how many are there.
    factors: [u8; 2],
    /// Two tensors contradict each other.
    contradict: bool,
    /// The sides lie in another order, and tell nothing.
    core: bool,
}

impl Widths {
    fn take(&mut self, name: &Name<'_>, shape: &[u64]) {
        self.core |= name.part.core;
        for (side, place) in [name.part.rows, name.part.columns].into_iter().enumerate() {
            let Some(width) = place.and_then(|place| shape.get(place).copied()) else {
                continue;
            };
            let before = self.sides[side];
            if name.part.product {
                self.factors[side] += 1;
                self.sides[side] = Some(before.unwrap_or(1).saturating_mul(width));
            } else {
                self.contradict |= before.is_some_and(|before| before != width);
                self.sides[side] = Some(width);
            }
        }
    }

    fn fit(&self, wanted: [Option<u64>; 2]) -> bool {
        let fits = |side: usize| match (self.sides[side], wanted[side]) {
            // Half a product says nothing.
            _ if self.factors[side] == 1 => true,
            (Some(width), Some(wanted)) => width == wanted,
            _ => true,
        };
        self.core || (!self.contradict && fits(0) && fits(1))
    }
}

#[cfg(test)]
mod tests;
