//! How the request's pictures lie on a diffusion pass.

use super::scale::{crop_image, scaling};
use crate::{
    check::{Extent, Extents, ImageIndex, Rect},
    draft::{Draft, Link, Picture, flow},
    plan::{Colour, Filter, Operation},
};

/// A pass and the part of the picture that it shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) extents: &'a Extents,
    /// Size of the pass.
    pub(crate) extent: Extent,
    pub(crate) part: Part,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// The selection's rectangle in the target.
    Selection(Rect),
    /// All of an enlarged picture, which is too small for tiles.
    Enlarged,
    /// A tile of the picture enlarged to this size.
    Tile(Extent, Rect),
}

impl<'a> Frame<'a> {
    pub(crate) fn whole(extents: &'a Extents, extent: Extent) -> Self {
        Self {
            extents,
            extent,
            part: Part::Whole,
        }
    }

    /// A control layer's picture. The plugin sends it in the size of the target or of a pass.
    pub(crate) fn control(
        &self,
        draft: &mut Draft,
        image: ImageIndex,
        lines: bool,
        filter: Filter,
    ) -> Link<flow::Image> {
        let extents = self.extents;
        let sizes = [extents.desired, extents.input, extents.initial];
        let mut operations = vec![];
        if lines {
            operations.push(Operation::Invert);
        }
        let to = match self.part {
            Part::Whole | Part::Enlarged => self.extent,
            Part::Selection(bounds) => {
                operations.push(Operation::Crop {
                    bounds: bounds.array(),
                    only: Some(extents.target.sides()),
                });
                self.extent
            }
            Part::Tile(whole, _) => whole,
        };
        operations.push(scaling(to, filter));
        let picture = draft.picture(image, (extents.target, &sizes), Colour::BLACK, operations);
        let image = draft.load_image(picture);
        match self.part {
            Part::Tile(_, tile) => crop_image(draft, image, tile),
            _ => image,
        }
    }

    /// A region's mask, before the graph. ComfyUI scales masks to the latent by itself.
    pub(crate) fn region(&self, draft: &mut Draft, mask: ImageIndex) -> Picture {
        let mut operations = vec![Operation::Mask];
        let extent = match self.part {
            Part::Whole => self.extents.target,
            Part::Enlarged => self.extents.input,
            Part::Selection(bounds) => {
                operations.push(bounds.crop());
                self.extents.target
            }
            Part::Tile(whole, _) => {
                operations.push(scaling(whole, Filter::Lanczos));
                self.extents.input
            }
        };
        draft.picture(mask, (extent, &[]), Colour::BLACK, operations)
    }

    /// A region's mask in the graph.
    pub(crate) fn load_mask(&self, draft: &mut Draft, mask: Picture) -> Link<flow::Mask> {
        let mask = draft.load_mask(mask);
        let Part::Tile(_, tile) = self.part else { return mask };
        let [x, y, width, height] = tile.array();
        draft
            .node(
                "CropMask",
                [
                    ("mask", mask.into()),
                    ("x", x.into()),
                    ("y", y.into()),
                    ("width", width.into()),
                    ("height", height.into()),
                ],
            )
            .output(0)
    }
}
