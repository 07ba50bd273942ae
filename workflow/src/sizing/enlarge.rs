//! When pictures are enlarged by an upscale model, and by which.

use super::scale::{resize, scale};
use crate::{
    check::Extent,
    draft::{Draft, Link, cost, flow},
    inventory::Inventory,
};

/// How to get from the first pass to the desired size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToDesired {
    /// It has that size.
    Stay,
    /// It was larger: only scale.
    Scale,
    /// Enlarge with this upscale model, then sample again.
    SampleAgain(&'static str),
}

/// Decides between the first pass and the desired size. Ratios of sides are compared as ratios of areas, which is exact.
pub(crate) fn to_desired(initial: Extent, desired: Extent) -> ToDesired {
    let (from, to) = (initial.pixels(), desired.pixels());
    if initial == desired {
        ToDesired::Stay
    } else if from >= to {
        ToDesired::Scale
    } else if 9 * from >= 4 * to {
        ToDesired::SampleAgain("fast_2x")
    } else {
        ToDesired::SampleAgain("default")
    }
}

/// Enlarges with an upscale model, made exact by scaling; without any model in the inventory only scales, which is softer.
pub(crate) fn enlarge(
    draft: &mut Draft,
    inventory: &Inventory,
    upscaler: &str,
    image: Link<flow::Image>,
    from: Extent,
    to: Extent,
) -> Link<flow::Image> {
    let image = match inventory.upscaler(upscaler) {
        Some(file) => upscale(draft, inventory, file, image, from),
        None => image,
    };
    resize(draft, image, from, to)
}

/// Enlarges with this upscale model, by whatever factor it has.
pub(crate) fn upscale(
    draft: &mut Draft,
    inventory: &Inventory,
    file: &str,
    image: Link<flow::Image>,
    from: Extent,
) -> Link<flow::Image> {
    let cost = if inventory.is_fast_upscaler(file) {
        cost::FAST_UPSCALE_MODEL
    } else {
        cost::UPSCALE_MODEL
    };
    let file = draft.model_file(file);
    let model: Link<flow::UpscaleModel> = draft.node("UpscaleModelLoader", [("model_name", file)]).output(0);
    let node = draft.node(
        "ImageUpscaleWithModel",
        [("upscale_model", model.into()), ("image", image.into())],
    );
    draft.takes(node, cost, from);
    node.output(0)
}

/// From the size of the last pass to the size of the canvas.
pub(crate) fn to_target(
    draft: &mut Draft,
    inventory: &Inventory,
    image: Link<flow::Image>,
    desired: Extent,
    target: Extent,
) -> Link<flow::Image> {
    match target_upscaler(desired, target) {
        Some(upscaler) => enlarge(draft, inventory, upscaler, image, desired, target),
        None => scale(draft, image, desired, target),
    }
}

/// Below nine tenths of the side lanczos alone is too soft; the factor is the next whole one.
pub(crate) fn target_upscaler(desired: Extent, target: Extent) -> Option<&'static str> {
    let (from, to) = (desired.pixels(), target.pixels());
    if 100 * from >= 81 * to {
        None
    } else if to <= 4 * from {
        Some("fast_2x")
    } else if to <= 9 * from {
        Some("fast_3x")
    } else {
        Some("fast_4x")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_pass_by_ratio() {
        let square = |side| Extent::new(side, side);
        for (initial, desired, decision) in [
            (square(512), square(512), ToDesired::Stay),
            (square(640), square(512), ToDesired::Scale),
            (Extent::new(512, 768), Extent::new(768, 512), ToDesired::Scale),
            (
                Extent::new(560, 720),
                Extent::new(784, 1008),
                ToDesired::SampleAgain("fast_2x"),
            ),
            (square(512), square(768), ToDesired::SampleAgain("fast_2x")),
            (square(512), square(776), ToDesired::SampleAgain("default")),
            (
                Extent::new(512, 768),
                Extent::new(1024, 1536),
                ToDesired::SampleAgain("default"),
            ),
        ] {
            assert_eq!(to_desired(initial, desired), decision, "{initial:?} -> {desired:?}");
        }
    }

    #[test]
    fn last_scaling_by_ratio() {
        let square = |side| Extent::new(side, side);
        for (desired, target, upscaler) in [
            (square(512), square(512), None),
            (square(512), square(256), None),
            (square(900), square(1000), None),
            (square(899), square(1000), Some("fast_2x")),
            (square(1008), square(2000), Some("fast_2x")),
            (square(1000), square(2001), Some("fast_3x")),
            (square(512), square(1600), Some("fast_4x")),
            (square(512), square(8192), Some("fast_4x")),
        ] {
            assert_eq!(target_upscaler(desired, target), upscaler, "{desired:?} -> {target:?}");
        }
    }
}
