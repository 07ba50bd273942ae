//! From the first pass to a picture of the desired size: as it is, only scaled, or sampled a second time.

use super::request::Request;
use crate::{
    draft::{Draft, Link, flow},
    inventory::Inventory,
    models::Loaded,
    passes::sample,
    sizing::{ToDesired, enlarge, scale, to_desired},
};

/// Decodes the first pass, and brings it to the desired size.
pub(crate) fn decode_to_desired(
    draft: &mut Draft,
    inventory: &Inventory,
    request: &Request,
    loaded: &Loaded,
    first: Link<flow::Latent>,
) -> Link<flow::Image> {
    let (initial, desired) = (request.extents.initial, request.extents.desired);
    let image = loaded.decode(draft, first);
    match to_desired(initial, desired) {
        ToDesired::Stay => image,
        ToDesired::Scale => scale(draft, image, initial, desired),
        ToDesired::SampleAgain(upscaler) => {
            let larger = enlarge(draft, inventory, upscaler, image, initial, desired);
            let total = request.sampling.total_steps();
            let start = start_step(total);
            // Of a single step nothing is left for this pass; from 0 it would paint another picture.
            if start >= total {
                return larger;
            }
            let latent = loaded.encode(draft, larger);
            let frame = request.frame(desired);
            let (guided, prompts) = request.lead(draft, loaded, &frame);
            let second = sample(draft, &guided, prompts, &request.sampling, start, latent, desired);
            loaded.decode(draft, second)
        }
    }
}

/// Six tenths of the steps, rounded: the second pass keeps the composition of the first.
pub(crate) fn start_step(total_steps: u32) -> u32 {
    (total_steps * 6 + 5) / 10
}

#[cfg(test)]
mod tests {
    use super::start_step;

    #[test]
    fn a_strength_of_four_tenths() {
        for (total, start) in [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (8, 5), (20, 12), (1000, 600)] {
            assert_eq!(start_step(total), start);
        }
    }
}
