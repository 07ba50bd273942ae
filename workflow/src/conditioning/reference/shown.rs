//! A reference picture: what of it counts, where and when.

use crate::{
    check::{Extent, ImageIndex},
    draft::{Draft, Link, Picture, flow},
    sizing::Frame,
};

/// What CLIP's vision model looks at: the plugin sends references in this size, or in a size of the canvas. Any other
/// does as well.
pub(super) const SEEN: Extent = Extent::new(224, 224);
/// No vision model looks at more pixels on the shorter side; that of Redux looks at 384.
const MOST_SEEN: u32 = 512;

/// What of a picture counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Everything,
    Style,
    Composition,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Shown {
    Sent(ImageIndex),
    Ready(Picture),
}

#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) shown: Shown,
    pub(super) look: Look,
    /// Where it counts; none for everywhere.
    pub(super) region: Option<usize>,
    pub(super) strength: f64,
    pub(super) range: [f64; 2],
}

impl Reference {
    pub(super) fn load(&self, draft: &mut Draft, frame: &Frame<'_>) -> Link<flow::Image> {
        let picture = match self.shown {
            Shown::Ready(picture) => picture,
            Shown::Sent(image) => {
                let extents = frame.extents;
                let others = [SEEN, extents.desired, extents.input, extents.initial];
                draft.picture_to_look_at(image, (extents.target, &others), MOST_SEEN)
            }
        };
        draft.load_image(picture)
    }
}
