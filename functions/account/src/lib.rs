//! Sign-in, the painter's own account, and the web pages of both.

mod address;
pub mod oidc;
mod page;
mod pages;
mod picture;
mod provider;
mod refused;
mod sign_in;
mod user;
mod words;

use std::sync::Arc;

use axum::middleware::from_fn;
use cloud::{
    Cloud, Store,
    token::{Signer, Verifier},
};
use model::Settings;
use utoipa_axum::{router::OpenApiRouter, routes};
use web::Site;

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
    /// Checks them, where no authorizer does.
    pub verifier: Verifier,
    /// Whom a painter is told to ask for more; "" if nobody said.
    pub contact: String,
    /// Pages travel by plain HTTP, as only on the local stack.
    pub plain_http: bool,
    /// The studio's OIDC provider, if it has one.
    pub provider: Option<oidc::Provider>,
}

impl Site for App {
    fn store(&self) -> &Store {
        &self.cloud.store
    }
    fn plain_http(&self) -> bool {
        self.plain_http
    }
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
        .routes(routes!(pages::website))
        .routes(routes!(pages::more))
        .routes(routes!(pages::account))
        .routes(routes!(picture::picture))
        .routes(routes!(pages::sign_out))
        .routes(routes!(provider::leave))
        .routes(routes!(provider::come_back))
        .layer(from_fn(|request, next| web::translated(words::PROBLEMS, request, next)))
        .layer(from_fn(refused::counted))
}
