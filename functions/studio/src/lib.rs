//! The studio's page: who paints, what waits, which machines run, what it costs, and what may be done about it.
//!
//! It is whole without scripts: every number is in the HTML, every action a form with a page that asks first. A little script
//! brings it up to date.

mod act;
mod audit;
mod charts;
mod group;
mod line;
mod machines;
mod own;
mod read;
mod recording;
mod show;
mod team;
mod ticket;
mod words;

use std::sync::Arc;

use axum::middleware::from_fn;
use cloud::{Cloud, Store};
use model::Settings;
use utoipa_axum::{router::OpenApiRouter, routes};
use web::{Site, in_time};

/// What the handlers need.
#[derive(Debug)]
pub struct App {
    /// AWS.
    pub cloud: Cloud,
    /// Durations and limits.
    pub settings: Settings,
    /// The WebSocket API's address.
    pub socket_url: String,
    /// Pages travel by plain HTTP, as only on the local stack.
    pub plain_http: bool,
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
        .routes(routes!(show::studio))
        .routes(routes!(show::script))
        .routes(routes!(audit::list))
        .routes(routes!(act::ask, act::act))
        .routes(routes!(recording::list, recording::act))
        .routes(routes!(recording::steps::steps))
        .routes(routes!(recording::export::export))
        .routes(routes!(ticket::give))
        .routes(routes!(group::page, group::compare::vote))
        .layer(from_fn(in_time))
}
