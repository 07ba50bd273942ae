//! The studio's models over HTTP: bringing them, and what there is.

mod list;
mod upload;

use std::sync::Arc;

use cloud::{Cloud, multipart::Multipart};
use model::Settings;
use utoipa_axum::{router::OpenApiRouter, routes};

/// What the handlers need.
#[derive(Debug)]
pub struct App {
    /// AWS.
    pub cloud: Cloud,
    /// The bucket of models, for files that come in parts.
    pub masters: Multipart,
    /// Durations and limits.
    pub settings: Settings,
}

/// Every route, and what the document says of it.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(list::models))
        .routes(routes!(upload::begin))
        .routes(routes!(upload::progress, upload::end))
        .routes(routes!(upload::parts))
        .routes(routes!(upload::complete))
}
