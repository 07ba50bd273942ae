//! Latents to begin with.

use crate::{
    check::Extent,
    draft::{Draft, Link, flow},
    models::Loaded,
};

/// Nothing yet, in this size.
pub(crate) fn empty_latent(draft: &mut Draft, loaded: &Loaded, extent: Extent, batch: u32) -> Link<flow::Latent> {
    // Later models have latents of sixteen channels.
    let class = match loaded.guidance {
        Some(_) => "EmptySD3LatentImage",
        None => "EmptyLatentImage",
    };
    draft
        .node(
            class,
            [
                ("width", extent.width().into()),
                ("height", extent.height().into()),
                ("batch_size", batch.into()),
            ],
        )
        .output(0)
}

/// One latent for each picture wanted.
pub(crate) fn repeat(draft: &mut Draft, latent: Link<flow::Latent>, batch: u32) -> Link<flow::Latent> {
    if batch == 1 {
        return latent;
    }
    draft
        .node(
            "RepeatLatentBatch",
            [("samples", latent.into()), ("amount", batch.into())],
        )
        .output(0)
}
