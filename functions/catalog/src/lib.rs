//! The studio's models over HTTP: bringing them, and what there is.

mod list;
mod model;
mod upload;

use std::sync::Arc;

use ::model::{Master, Millis, Settings, TeamId, UploadedLora};
use catalog::models::{ModelError, Place, check, check_lora, sweep};
use cloud::{Cloud, multipart::Multipart};
use serde_json::Value;
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

impl App {
    fn place(&self) -> Place<'_> {
        Place {
            store: &self.cloud.store,
            models: &self.cloud.models,
            masters: &self.masters,
            settings: &self.settings,
        }
    }

    /// Handles what is no call: S3's word that a file is there, or the time to look after what is late.
    pub async fn handle(&self, event: &Value, now: Millis) -> Result<(), ModelError> {
        let key = event.pointer("/detail/object/key").and_then(Value::as_str);
        match key.map(|key| key.split('/').collect::<Vec<_>>()).as_deref() {
            Some([Master::PREFIX, team, sha256]) => check(&self.place(), &TeamId::new(*team), sha256, now).await,
            Some([UploadedLora::PREFIX, team, sha256]) => {
                check_lora(&self.place(), &TeamId::new(*team), sha256, now).await
            }
            Some(_) => Ok(()),
            None => sweep(&self.place(), now).await,
        }
    }
}

/// Every route, and what the document says of it.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(list::models))
        .routes(routes!(model::get, model::change, model::delete))
        .routes(routes!(model::restore))
        .routes(routes!(upload::begin))
        .routes(routes!(upload::progress, upload::end))
        .routes(routes!(upload::parts))
        .routes(routes!(upload::complete))
}
