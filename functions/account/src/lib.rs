//! Sign-in and its web page, and the painter's own account.

pub mod oidc;
mod page;
mod provider;
mod sign_in;

use cloud::{
    Cloud,
    http::{Caller, Event, HttpError, Redirect, Reply, Response, html, redirect, reply, respond, route},
    presence,
    runs::usage,
    token::Signer,
};
use model::{Millis, Role, Settings};
use policy::presence::Sign;
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
    /// Issues the painters' tokens.
    pub signer: Signer,
    /// The studio's OIDC provider, if it has one.
    pub provider: Option<oidc::Provider>,
}

impl App {
    /// Answers one request.
    pub async fn handle(&self, event: &Event, now: Millis) -> Response {
        let reply = match route(event) {
            "GET /v1/user" => self.user(event, now).await,
            "GET /v1/plugin/latest" => Self::latest(event),
            "POST /v1/auth/initiate" => sign_in::initiate(self, event, now).await,
            "POST /v1/auth/confirm" => sign_in::confirm(self, event, now).await,
            "GET /v1/sign-in" => return Self::page(event, sign_in::show(self, event, now).await),
            "POST /v1/sign-in" => return Self::page(event, sign_in::approve(self, event, now).await),
            "GET /v1/sign-in/provider" => return Self::redirect(event, provider::leave(self, event, now).await),
            "GET /v1/sign-in/callback" => return Self::redirect(event, provider::come_back(self, event, now).await),
            _ => Err(HttpError::new(404, "There is nothing here.")),
        };
        respond(event, reply)
    }

    fn page(event: &Event, page: Result<String, HttpError>) -> Response {
        html(event, page, page::problem, page::POLICY)
    }

    fn redirect(event: &Event, to: Result<Redirect, HttpError>) -> Response {
        redirect(event, to, page::problem, page::POLICY)
    }

    /// The plugin's own version, so that it never offers to install another.
    fn latest(event: &Event) -> Reply {
        let version = event.query_string_parameters.first("version").unwrap_or_default();
        reply(200, &json!({ "version": version }))
    }

    async fn user(&self, event: &Event, now: Millis) -> Reply {
        let caller = Caller::of(event, Role::Painter)?;
        let account = cloud::accounts::of(&self.cloud.store, &caller).await?;
        // The plugin's first call: who connects is about to paint.
        let (usage, ()) = tokio::join!(
            usage(&self.cloud.store, &account.user_id, now),
            presence::note(
                &self.cloud,
                &account.pool,
                &account.user_id,
                Sign::Call,
                &self.settings,
                now
            )
        );
        let usage = usage?;
        reply(
            200,
            &json!({
                "id": account.user_id,
                "name": account.name,
                "images_generated": usage.images,
                "credits": usage.left(&account).credits_left(),
                "max_upload_size": self.settings.max_upload,
                "socket": self.socket_url,
            }),
        )
    }
}
