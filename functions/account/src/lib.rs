//! The painter's own account. Sign-in comes with its own issue.

use cloud::{
    Cloud,
    http::{Caller, Event, HttpError, Reply, Response, reply, respond, route},
    runs::month,
    tables::UsageOf,
};
use model::{Millis, Role, Settings};
use serde_json::json;

/// What the handler needs.
#[derive(Debug)]
pub struct App {
    /// AWS.
    pub cloud: Cloud,
    /// Durations and limits.
    pub settings: Settings,
    /// The WebSocket API's address, for our own extension.
    pub socket_url: String,
}

impl App {
    /// Answers one request.
    pub async fn handle(&self, event: &Event, now: Millis) -> Response {
        let reply = match route(event) {
            "GET /v1/user" => self.user(event, now).await,
            _ => Err(HttpError::new(404, "There is nothing here.")),
        };
        respond(event, reply)
    }

    async fn user(&self, event: &Event, now: Millis) -> Reply {
        let caller = Caller::of(event, Role::Painter)?;
        let account = cloud::accounts::of(&self.cloud.store, &caller).await?;
        let usage = self.cloud.store.get(&UsageOf(caller.user(), month(now))).await?;
        reply(
            200,
            &json!({
                "id": account.user_id,
                "name": account.name,
                "images_generated": usage.map_or(0, |usage| usage.images),
                "credits": account.credits,
                "max_upload_size": self.settings.max_upload,
                "socket": self.socket_url,
            }),
        )
    }
}
