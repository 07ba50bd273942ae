//! What rendering needs.

use std::sync::Arc;

use super::comfy_host::ComfyHost;
use crate::{config::Timing, control_plane::CloudApi, loras::LoraCache, status::StatusBoard};

/// Renders one run at a time.
#[derive(Debug)]
pub(crate) struct Renderer {
    pub(crate) http: reqwest::Client,
    pub(crate) api: Arc<CloudApi>,
    pub(crate) host: Arc<ComfyHost>,
    pub(crate) status: StatusBoard,
    /// Where uploaded LoRAs are kept, if anywhere.
    pub(crate) loras: Option<Arc<LoraCache>>,
    pub(crate) timing: Timing,
}
