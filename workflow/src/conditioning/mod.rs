//! All that leads a pass: prompts, regions, control layers and reference pictures.

mod control;
mod prompt;
mod raw;
mod reference;
mod region;
mod style;
mod text;

pub(crate) use control::{Net, find_net};
pub(crate) use reference::{References, is_reference, is_there};
pub(crate) use text::{Encoded, encode_text};

use crate::{
    check::StoredImages,
    draft::{Draft, Link, flow},
    inventory::Inventory,
    models::Loaded,
    refusal::Refusal,
    sizing::Frame,
    wire::{self, Arch},
};
use control::Control;
use prompt::Prompts;

/// Of the picture and its regions together.
const MAX_CONTROLS: usize = 64;

/// What the whole picture is led by, checked.
#[derive(Debug)]
pub(crate) struct Conditions {
    prompts: Prompts,
    /// Of the whole picture; those of regions included, since control nets act on all of it.
    controls: Vec<Control>,
    pub(crate) references: References,
}

impl Conditions {
    /// `negative` tells whether guidance has a use for the negative prompt. A `tiled` request has control layers without
    /// pictures, and its prompt as the painter wrote it.
    pub(crate) fn parse(
        wire: &wire::Conditioning,
        arch: &Arch,
        inventory: &Inventory,
        stored: StoredImages,
        negative: bool,
        tiled: bool,
    ) -> Result<Self, Refusal> {
        let whole = wire.control.iter().map(|control| (None, control));
        let of_regions = wire.regions.iter().enumerate().flat_map(|(place, region)| {
            let place = (wire.regions.len() > 1).then_some(place);
            region.control.iter().map(move |control| (place, control))
        });
        let controls: Vec<_> = whole.chain(of_regions).collect();
        if controls.len() > MAX_CONTROLS {
            return Err(Refusal::new(format!(
                "{} control layers are too many, the limit is {MAX_CONTROLS}. Remove some.",
                controls.len()
            )));
        }
        let (references, controls): (Vec<_>, Vec<_>) = controls
            .into_iter()
            .partition(|(_, control)| is_reference(&control.mode));
        let references = References::parse(references.into_iter(), arch, inventory, stored)?;
        let controls = controls
            .into_iter()
            .map(|(_, control)| Control::parse(control, arch, inventory, stored, tiled))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            prompts: Prompts::parse(wire, stored, inventory, negative, tiled)?,
            controls,
            references,
        })
    }

    /// What of them makes a graph large: regions, their LoRAs, control layers.
    pub(crate) fn parts(&self) -> usize {
        self.prompts.parts() + self.controls.len()
    }

    /// The model with what it is shown, and the prompts with all that hangs on them. `references` are those of the pass;
    /// `canvas` stands in for control layers without a picture.
    pub(crate) fn apply(
        &self,
        draft: &mut Draft,
        loaded: &Loaded,
        references: &References,
        frame: &Frame<'_>,
        canvas: Option<Link<flow::Image>>,
    ) -> (Loaded, Encoded) {
        let encoded = self.prompts.encode(draft, loaded, frame);
        let (loaded, encoded) = references.apply(draft, loaded, encoded, &self.prompts, frame);
        let controls = self.controls.iter();
        let encoded = controls.fold(encoded, |encoded, control| {
            control.apply(draft, &loaded, encoded, frame, canvas)
        });
        (loaded, encoded)
    }
}
