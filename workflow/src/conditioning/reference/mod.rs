//! Reference pictures, which show the model what to look like: through IP-Adapter or, for Flux, through Redux.

mod adapter;
mod ip_adapter;
mod redux;
mod shown;
mod surroundings;

use super::{prompt::Prompts, text::Encoded};
use crate::{
    check::{Extents, Rect, StoredImages, real},
    draft::{Draft, Picture},
    inventory::Inventory,
    models::Loaded,
    refusal::{Refusal, missing},
    sizing::Frame,
    wire::{self, Arch, ControlMode},
};
use adapter::Adapter;
use ip_adapter::{COMBINED, IpAdapter};
use redux::redux;
use shown::{Look, Reference, Shown};
use surroundings::rest;

/// Beyond this an adapter's picture drowns the prompt; also the limit of its nodes.
const STRENGTHS: std::ops::RangeInclusive<f64> = 0.0..=3.0;
/// Of one request. Each is encoded by a large vision model.
const MAX_REFERENCES: usize = 16;
/// A canvas that lends its surroundings as reference does so at this strength, in this part of the schedule.
const SURROUNDINGS: (f64, [f64; 2]) = (0.5, [0.2, 0.8]);

/// The checked reference pictures of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct References {
    /// None where there is none, and then there are no references either.
    adapter: Option<Adapter>,
    all: Vec<Reference>,
}

/// Whether a control layer of this kind is a reference picture.
pub(crate) fn is_reference(mode: &ControlMode) -> bool {
    use ControlMode::{Composition, Face, Reference, Style};
    matches!(mode, Reference | Style | Composition | Face)
}

/// Whether reference pictures can be used with this kind of model.
pub(crate) fn is_there(arch: &Arch, inventory: &Inventory) -> bool {
    Adapter::find(&ControlMode::Reference, arch, inventory).is_ok()
}

impl References {
    /// `controls` with the place of their region, where there are several.
    pub(crate) fn parse<'a>(
        controls: impl ExactSizeIterator<Item = (Option<usize>, &'a wire::Control)>,
        arch: &Arch,
        inventory: &Inventory,
        stored: StoredImages,
    ) -> Result<Self, Refusal> {
        if controls.len() > MAX_REFERENCES {
            return Err(Refusal::new(format!(
                "{} reference layers are too many, the limit is {MAX_REFERENCES}. Remove some.",
                controls.len()
            )));
        }
        let parse = |(region, wire): (Option<usize>, &wire::Control)| {
            Adapter::find(&wire.mode, arch, inventory)?;
            let image = stored.optional("reference picture", wire.image)?;
            let [start, end] = wire.range;
            Ok(Reference {
                shown: Shown::Sent(image.ok_or_else(|| missing("picture for a reference layer"))?),
                look: match wire.mode {
                    ControlMode::Style => Look::Style,
                    ControlMode::Composition => Look::Composition,
                    _ => Look::Everything,
                },
                region,
                strength: real("reference strength", wire.strength, STRENGTHS)?,
                range: [
                    real("start of the reference range", start, 0.0..=1.0)?,
                    real("end of the reference range", end, 0.0..=1.0)?,
                ],
            })
        };
        let all = controls.map(parse).collect::<Result<Vec<_>, Refusal>>()?;
        Ok(Self {
            adapter: Adapter::find(&ControlMode::Reference, arch, inventory).ok(),
            all,
        })
    }

    /// With the canvas around a selection as one more reference, where that is possible. A selection that spans the
    /// canvas from edge to edge leaves only the rest of it to look at.
    pub(crate) fn with_surroundings(
        &self,
        draft: &mut Draft,
        canvas: Picture,
        extents: &Extents,
        bounds: Rect,
    ) -> Self {
        let mut with = self.clone();
        if self.adapter.is_some() {
            let rest = rest(bounds.convert(extents.target, extents.initial), extents.initial);
            let shown = draft.derive(canvas, rest.map(Rect::crop).into_iter().collect::<Vec<_>>());
            let (strength, range) = SURROUNDINGS;
            with.all.push(Reference {
                shown: Shown::Ready(shown),
                look: Look::Everything,
                region: None,
                strength,
                range,
            });
        }
        with
    }

    /// Has model and prompt look at the pictures.
    pub(crate) fn apply(
        &self,
        draft: &mut Draft,
        loaded: &Loaded,
        encoded: Encoded,
        prompts: &Prompts,
        frame: &Frame<'_>,
    ) -> (Loaded, Encoded) {
        let mut loaded = *loaded;
        match &self.adapter {
            Some(_) | None if self.all.is_empty() => (loaded, encoded),
            Some(Adapter::IpAdapter(files)) => {
                let adapter = IpAdapter::load(draft, files);
                for group in self.groups() {
                    let mask = group[0].region.map(|region| prompts.region_mask(draft, region, frame));
                    loaded.model = adapter.apply(draft, loaded.model, &group, mask, frame);
                }
                (loaded, encoded)
            }
            Some(Adapter::Redux(files)) => {
                let positive = redux(draft, files, &self.all, encoded.positive, frame);
                // Flux has no use for a negative prompt.
                let negative = positive;
                (loaded, Encoded { positive, negative })
            }
            None => (loaded, encoded),
        }
    }

    /// References that act alike, as many as can act together.
    fn groups(&self) -> Vec<Vec<&Reference>> {
        let mut groups: Vec<Vec<&Reference>> = vec![];
        for reference in &self.all {
            let alike = |group: &&mut Vec<&Reference>| {
                group[0].look == reference.look && group[0].region == reference.region && group.len() < COMBINED
            };
            match groups.iter_mut().find(alike) {
                Some(group) => group.push(reference),
                None => groups.push(vec![reference]),
            }
        }
        groups
    }
}
