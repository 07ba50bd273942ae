//! What rendering needs.

use std::sync::Arc;

use super::comfy_host::ComfyHost;
use crate::{config::Timing, control_plane::CloudApi, preview::Previews, status::StatusBoard, transfer::Fetcher};

/// Renders one run at a time.
#[derive(Debug)]
pub(crate) struct Renderer {
    pub(crate) http: reqwest::Client,
    pub(crate) api: Arc<CloudApi>,
    pub(crate) host: Arc<ComfyHost>,
    pub(crate) status: StatusBoard,
    /// Fetches files of the studio's store, if there is a folder for them.
    pub(crate) fetcher: Option<Arc<Fetcher>>,
    pub(crate) previews: Previews,
    pub(crate) timing: Timing,
}
