//! Plain scaling and cutting.

use crate::{
    check::{Extent, Rect},
    draft::{Draft, Link, cost, flow},
    plan::{Filter, Operation},
};

/// The operation that scales a picture or mask to this size.
pub(crate) fn scaling(to: Extent, filter: Filter) -> Operation {
    Operation::Scale {
        width: to.width(),
        height: to.height(),
        filter,
    }
}

/// As [`scaling`], if it changes anything.
pub(crate) fn scaled(from: Extent, to: Extent) -> Option<Operation> {
    (from != to).then(|| scaling(to, Filter::Lanczos))
}

/// A rectangle of an image, in the graph.
pub(crate) fn crop_image(draft: &mut Draft, image: Link<flow::Image>, rect: Rect) -> Link<flow::Image> {
    let [x, y, width, height] = rect.array();
    draft
        .node(
            "ImageCrop",
            [
                ("image", image.into()),
                ("width", width.into()),
                ("height", height.into()),
                ("x", x.into()),
                ("y", y.into()),
            ],
        )
        .output(0)
}

/// Plain scaling to an exact size.
pub(crate) fn scale(draft: &mut Draft, image: Link<flow::Image>, from: Extent, to: Extent) -> Link<flow::Image> {
    if from == to {
        image
    } else {
        resize(draft, image, from, to)
    }
}

/// Scaling even where the size is right, for images whose size is known only to the graph; `from` is about what they have.
pub(crate) fn resize(draft: &mut Draft, image: Link<flow::Image>, from: Extent, to: Extent) -> Link<flow::Image> {
    let node = draft.node(
        "ImageScale",
        [
            ("image", image.into()),
            ("upscale_method", "lanczos".into()),
            ("width", to.width().into()),
            ("height", to.height().into()),
            ("crop", "disabled".into()),
        ],
    );
    let larger = if from.pixels() > to.pixels() { from } else { to };
    draft.takes(node, cost::LANCZOS, larger);
    node.output(0)
}
