//! The painters' task API in the plugin's words: submit, status, list, cancel, uploads.

mod group;
mod keep;
mod list;
mod recording;
mod reply;
mod submit;
mod task;
mod upload;
mod variants;

use std::sync::Arc;

use cloud::Cloud;
use model::Settings;
use utoipa_axum::{router::OpenApiRouter, routes};

/// What the handlers need.
#[derive(Debug)]
pub struct App {
    cloud: Cloud,
    settings: Settings,
    models: catalog::Cache,
    recent: tasks::intake::Recent,
}

impl App {
    /// Handlers over this.
    pub fn new(cloud: Cloud, settings: Settings) -> Self {
        Self {
            cloud,
            settings,
            models: catalog::Cache::default(),
            recent: tasks::intake::Recent::default(),
        }
    }
}

/// Every route, and what the document says of it.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(submit::submit))
        .routes(routes!(submit::cost))
        .routes(routes!(task::status))
        .routes(routes!(task::task, keep::delete))
        .routes(routes!(keep::keep, keep::keep_no_longer))
        .routes(routes!(list::tasks))
        .routes(routes!(recording::applied))
        .routes(routes!(recording::all, recording::delete_all))
        .routes(routes!(recording::one, recording::switch, recording::delete))
        .routes(routes!(task::cancel))
        .routes(routes!(task::resources))
        .routes(routes!(group::groups))
        .routes(routes!(group::group))
        .routes(routes!(group::cancel))
        .routes(routes!(upload::image))
        .routes(routes!(upload::lora))
}
