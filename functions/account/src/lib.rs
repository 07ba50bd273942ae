//! Sign-in and its web page, and the painter's own account.

mod address;
pub mod oidc;
mod page;
mod provider;
mod sign_in;
mod user;
mod visit;

use std::sync::Arc;

use cloud::{Cloud, token::Signer};
use model::Settings;
use utoipa_axum::{router::OpenApiRouter, routes};

/// What the handlers need.
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

/// Every route, and what the document says of it.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(user::document))
        .routes(routes!(user::user))
        .routes(routes!(user::latest))
        .routes(routes!(sign_in::initiate))
        .routes(routes!(sign_in::confirm))
        .routes(routes!(sign_in::show, sign_in::approve))
        .routes(routes!(provider::leave))
        .routes(routes!(provider::come_back))
}
