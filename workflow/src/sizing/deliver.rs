//! From the last pass to what the plugin gets: colours matched, scaled, cut.

use super::{
    enlarge::{enlarge, target_upscaler},
    scale::{crop_image, scale, scaled},
};
use crate::{
    check::{Extent, Rect},
    draft::{Draft, Link, Picture, flow},
    inventory::Inventory,
    plan::Operation,
};

/// A step on the way.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// Plain scaling.
    Scale(Extent),
    /// Cutting.
    Crop(Rect),
    /// Scaling to the canvas, with an upscale model where plain scaling would be too soft.
    ToCanvas(Extent),
}

/// What colours are matched to, in the size of the last pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ColourReference {
    pub(crate) picture: Picture,
    /// What is no evidence.
    pub(crate) mask: Picture,
    /// More than 0.
    pub(crate) strength: f64,
}

impl Step {
    fn upscaler(self, at: Extent) -> Option<&'static str> {
        match self {
            Self::ToCanvas(to) => target_upscaler(at, to),
            _ => None,
        }
    }

    fn to(self) -> Extent {
        match self {
            Self::Scale(to) | Self::ToCanvas(to) => to,
            Self::Crop(rect) => rect.extent,
        }
    }

    /// The step on a picture outside of the graph.
    fn operation(self, at: Extent) -> Option<Operation> {
        match self {
            Self::Scale(to) | Self::ToCanvas(to) => scaled(at, to),
            Self::Crop(rect) => (rect.extent != at).then(|| rect.crop()),
        }
    }

    /// The step on an image in the graph.
    fn node(self, draft: &mut Draft, inventory: &Inventory, image: Link<flow::Image>, at: Extent) -> Link<flow::Image> {
        match (self, self.upscaler(at)) {
            (Self::ToCanvas(to), Some(upscaler)) => enlarge(draft, inventory, upscaler, image, at, to),
            (Self::Scale(to) | Self::ToCanvas(to), _) => scale(draft, image, at, to),
            (Self::Crop(rect), _) if rect.extent == at => image,
            (Self::Crop(rect), _) => crop_image(draft, image, rect),
        }
    }
}

/// Takes the steps: in the graph, unless colours are to be matched before them, which only the worker can. An upscale
/// model runs in the graph alone; then colours are matched at the very end.
pub(crate) fn deliver(
    draft: &mut Draft,
    inventory: &Inventory,
    mut image: Link<flow::Image>,
    mut at: Extent,
    steps: &[Step],
    reference: Option<ColourReference>,
) -> Link<flow::Image> {
    let (mut operations, mut enlarges, mut size) = (vec![], false, at);
    for step in steps {
        operations.extend(step.operation(size));
        enlarges |= step.upscaler(size).is_some();
        size = step.to();
    }
    let enlarges = enlarges && inventory.upscaler("default").is_some();
    let matched = |picture: Picture, mask: Picture, strength| Operation::MatchColours {
        reference: picture.place(),
        mask: mask.place(),
        strength,
    };
    if let Some(reference) = reference.filter(|_| !enlarges) {
        draft.finish_with([matched(reference.picture, reference.mask, reference.strength)]);
        draft.finish_with(operations);
        return image;
    }
    for step in steps {
        image = step.node(draft, inventory, image, at);
        at = step.to();
    }
    if let Some(reference) = reference {
        let picture = draft.derive(reference.picture, operations.clone());
        let mask = draft.derive(reference.mask, operations);
        draft.finish_with([matched(picture, mask, reference.strength)]);
    }
    image
}

/// A picture or mask of one size as one of another.
pub(crate) fn resized(
    draft: &mut Draft,
    picture: Picture,
    from: Extent,
    to: Extent,
    then: Option<Operation>,
) -> Picture {
    let scaled = scaled(from, to);
    draft.derive(picture, scaled.into_iter().chain(then).collect::<Vec<_>>())
}
