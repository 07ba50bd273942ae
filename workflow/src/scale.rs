//! Sizes, and getting from one to the next.

use crate::{
    catalog::Catalog,
    check::number,
    draft::Draft,
    graph::{Link, flow},
    input,
    refusal::Refusal,
};

/// ComfyUI's own limit for a picture's side.
const MAX_SIDE: i64 = 16_384;
/// Below 16 ComfyUI makes no latent; above 4096 no painter's GPU has the memory for attention.
const PASS_SIDES: std::ops::RangeInclusive<i64> = 16..=4_096;
/// A latent pixel is 8 pixels wide; ComfyUI would silently cut the rest.
const LATENT_CELL: i64 = 8;
/// Pixels of one diffusion pass over a whole batch: two pictures of 4096², or 16 of 1448².
const MAX_PASS_PIXELS: u64 = 2 * 4_096 * 4_096;
/// Pixels of all results together, 8192²: below 1 GB in ComfyUI's memory.
const MAX_RESULT_PIXELS: u64 = 8_192 * 8_192;

/// A size in pixels within the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    width: u32,
    height: u32,
}

/// The checked sizes of a request with diffusion; see the protocol's terms in [`input::Extents`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extents {
    pub(crate) input: Extent,
    pub(crate) initial: Extent,
    pub(crate) desired: Extent,
    pub(crate) target: Extent,
}

impl Extent {
    #[cfg(test)]
    const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// A 64-pixel square, about the smallest picture that exercises a model.
    pub(crate) const TINY: Self = Self { width: 64, height: 64 };

    pub(crate) fn width(self) -> u32 {
        self.width
    }

    pub(crate) fn height(self) -> u32 {
        self.height
    }

    pub(crate) fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    fn parse(what: &str, sides: [i64; 2], limits: std::ops::RangeInclusive<i64>) -> Result<Self, Refusal> {
        let [width, height] = sides;
        Ok(Self {
            width: number(&format!("{what} width"), width, limits.clone())?,
            height: number(&format!("{what} height"), height, limits)?,
        })
    }

    fn parse_pass(what: &str, sides: [i64; 2], batch: u32) -> Result<Self, Refusal> {
        let extent = Self::parse(what, sides, PASS_SIDES)?;
        if sides.iter().any(|side| side % LATENT_CELL != 0) {
            let [width, height] = sides;
            return Err(Refusal::new(format!(
                "the {what} size {width}x{height} is no multiple of {LATENT_CELL}. Update the plugin, then try again."
            )));
        }
        extent.limit(batch, MAX_PASS_PIXELS)
    }

    fn limit(self, batch: u32, pixels: u64) -> Result<Self, Refusal> {
        if self.pixels() * u64::from(batch) <= pixels {
            return Ok(self);
        }
        Err(Refusal::new(format!(
            "{batch} x {}x{} pixels are too many for one request. Use a smaller canvas or selection, or fewer images.",
            self.width, self.height
        )))
    }
}

impl Extents {
    pub(crate) fn parse(wire: &input::Extents, batch: u32) -> Result<Self, Refusal> {
        Ok(Self {
            input: Extent::parse("input", wire.input, 1..=MAX_SIDE)?.limit(1, MAX_RESULT_PIXELS)?,
            initial: Extent::parse_pass("first pass", wire.initial, batch)?,
            desired: Extent::parse_pass("second pass", wire.desired, batch)?,
            target: Extent::parse("target", wire.target, 1..=MAX_SIDE)?.limit(batch, MAX_RESULT_PIXELS)?,
        })
    }
}

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

/// Plain scaling to an exact size.
pub(crate) fn scale(draft: &mut Draft, image: Link<flow::Image>, from: Extent, to: Extent) -> Link<flow::Image> {
    if from == to { image } else { resize(draft, image, to) }
}

/// Enlarges with an upscale model, made exact by scaling; without any model in the catalogue only scales, which is softer.
pub(crate) fn enlarge(
    draft: &mut Draft,
    catalog: &Catalog,
    upscaler: &str,
    image: Link<flow::Image>,
    to: Extent,
) -> Link<flow::Image> {
    let image = match catalog.upscaler(upscaler) {
        Some(file) => {
            let file = draft.model_file(file);
            let model: Link<flow::UpscaleModel> = draft.node("UpscaleModelLoader", [("model_name", file)]).output(0);
            draft
                .node(
                    "ImageUpscaleWithModel",
                    [("upscale_model", model.into()), ("image", image.into())],
                )
                .output(0)
        }
        None => image,
    };
    resize(draft, image, to)
}

/// From the size of the last pass to the size of the canvas.
pub(crate) fn to_target(
    draft: &mut Draft,
    catalog: &Catalog,
    image: Link<flow::Image>,
    desired: Extent,
    target: Extent,
) -> Link<flow::Image> {
    match target_upscaler(desired, target) {
        Some(upscaler) => enlarge(draft, catalog, upscaler, image, target),
        None => scale(draft, image, desired, target),
    }
}

/// Below nine tenths of the side lanczos alone is too soft; the factor is the next whole one.
fn target_upscaler(desired: Extent, target: Extent) -> Option<&'static str> {
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

fn resize(draft: &mut Draft, image: Link<flow::Image>, to: Extent) -> Link<flow::Image> {
    draft
        .node(
            "ImageScale",
            [
                ("image", image.into()),
                ("upscale_method", "lanczos".into()),
                ("width", to.width.into()),
                ("height", to.height.into()),
                ("crop", "disabled".into()),
            ],
        )
        .output(0)
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
