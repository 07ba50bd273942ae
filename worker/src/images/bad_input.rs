//! What can be wrong with a request's pictures.

use super::picture::Misfit;

/// The pictures are not what the request said, so it cannot be painted as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadInput {
    #[error("The request names input pictures, but none came with it.")]
    Missing,
    #[error("The uploaded pictures are too large.")]
    TooLarge,
    #[error("The uploaded pictures are not complete.")]
    Incomplete,
    #[error("The uploaded pictures were changed after the request was sent.")]
    Changed,
    #[error("The uploaded pictures are no longer there.")]
    Gone,
    #[error("Input picture {0} is missing.")]
    NoSuchPicture(usize),
    #[error("Input picture {0} is neither PNG nor JPEG nor WebP, or it is damaged.")]
    Unreadable(usize),
    #[error("Input picture {number} has {width}x{height} pixels, which is too large.")]
    TooManyPixels { number: usize, width: u32, height: u32 },
    /// The plan's fault, not the painter's.
    #[error("The pictures do not fit the plan: {0}.")]
    Misfit(#[from] Misfit),
    #[error("Input picture {number} has {width}x{height} pixels, but {wanted_width}x{wanted_height} were announced.")]
    Size {
        number: usize,
        width: u32,
        height: u32,
        wanted_width: u32,
        wanted_height: u32,
    },
}
