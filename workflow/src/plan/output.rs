//! What comes of a plan.

use serde::{Deserialize, Serialize};

/// The pictures that a plan makes, all of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Pictures.
    pub count: u32,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// As lossy WebP files instead of PNGs, for painters whose line is slow.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub webp: bool,
}
