//! What a request may cost, by the formula whose result the plugin shows on its button, so that both say the same number.
//!
//! A credit of it is a tenth of two 1024² pictures of 24 steps, upon a base for the kind of model: on a g5.xlarge about as
//! much as a credit of ours, US$ 0.001 of GPU time, with some room above what SD1.5 and SDXL take there.

use crate::wire::{Arch, Extents, Kind, WorkflowInput};

/// Fewest steps that are counted.
const LEAST_STEPS: i64 = 8;
/// Pixels × side × steps × pictures of two pictures of 1024² and 24 steps.
const UNIT: f64 = 2.0 * 24.0 * 1024.0 * 1024.0 * 1024.0;

/// The whole credits that are reserved for a request, which is all that it may cost. What was not checked gives some number.
pub fn credits(input: &WorkflowInput) -> u64 {
    match input.kind {
        Kind::ControlImage => return 1,
        Kind::UpscaleSimple => return 2,
        _ => {}
    }
    let arch = input.models.as_ref().map(|models| &models.version);
    let base = match arch {
        Some(Arch::Sdxl | Arch::Illu | Arch::IlluV) => 2,
        Some(Arch::Flux | Arch::FluxKontext | Arch::Flux2Klein4b | Arch::Flux2Klein9b) => 4,
        Some(Arch::ZImage) => 6,
        _ => 1,
    };
    let (Some(images), Some(sampling)) = (&input.images, &input.sampling) else {
        return base;
    };
    let steps = sampling
        .total_steps
        .saturating_sub(sampling.start_step)
        .max(LEAST_STEPS);
    let pixels = pixels(input, &images.extent);
    let cost = passes(input, &images.extent) * pixels * pixels.sqrt() * steps as f64;
    // Half a credit goes to the even side, as the plugin's language rounds. A cast saturates.
    base.saturating_add((10.0 * cost / UNIT).round_ties_even() as u64)
}

/// Pixels of the extent that is diffused. The first pass is no larger than the second one in what the plugin sends; a client
/// that says otherwise is taken at the larger.
fn pixels(input: &WorkflowInput, extent: &Extents) -> f64 {
    let of = |[width, height]: [i64; 2]| width.max(0) as f64 * height.max(0) as f64;
    match (&input.kind, input.crop_upscale_extent) {
        (Kind::UpscaleTiled, _) => of(extent.desired),
        (Kind::Inpaint, Some(crop)) => of(extent.initial).max(of(crop)),
        _ => of(extent.initial).max(of(extent.desired)),
    }
}

/// How often that extent is diffused.
fn passes(input: &WorkflowInput, extent: &Extents) -> f64 {
    if input.kind != Kind::UpscaleTiled {
        return input.batch_count.max(1) as f64;
    }
    let tiles = |side: usize| {
        let whole = extent.target[side].max(extent.initial[side]).max(1);
        (whole as f64 / extent.desired[side].max(1) as f64).ceil()
    };
    2.0 * tiles(0) * tiles(1)
}
