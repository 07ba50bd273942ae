//! The caller's own account, and what the API says of itself.

use std::sync::Arc;

use accounts::access::PAINTERS;
use axum::{
    extract::State,
    http::{
        HeaderMap, HeaderName,
        header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
    },
    response::IntoResponse,
};
use cloud::{
    http::{HttpError, Json, Now, Query},
    token::{self, Claims},
};
use model::UserId;
use policy::presence::Sign;
use serde::Serialize;
use tasks::{presence, recording};
use utoipa::ToSchema;
use web::Redirect;

use crate::{App, words};

/// Most control layers that a painter is let use: a workflow takes more, but nobody waits for so many.
const CONTROL_LAYERS: usize = 16;

/// The caller's account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct User {
    id: UserId,
    /// For people.
    name: String,
    /// Pictures delivered this month (UTC).
    images_generated: u64,
    /// What is left of this month's budget, in whole credits.
    credits: u64,
    /// Largest LoRA, bytes: the plugin reads it for nothing else.
    max_upload_size: u64,
    /// Most control layers of a request; without it the plugin cuts to 4.
    max_control_layers: usize,
    /// The WebSocket API's address.
    socket: String,
    /// The caller's team records how pictures come to be, unless the caller says no: see `/v1/history`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    recording: bool,
    /// What the plugin shows to its painter.
    #[serde(skip_serializing_if = "Option::is_none")]
    news: Option<String>,
}

/// The caller's account. A browser, which brings no token, is sent to the account's page: the plugin's link leads here.
#[utoipa::path(
    get, path = "/v1/user", tag = "painters",
    responses(
        (status = 200, body = User),
        (status = 303, description = "To the account's page: a browser brings no token"),
    )
)]
pub(crate) async fn user(
    State(app): State<Arc<App>>,
    Now(now): Now,
    headers: HeaderMap,
) -> Result<Result<Json<User>, Redirect>, HttpError> {
    let of = |name: HeaderName| headers.get(name).and_then(|it| it.to_str().ok());
    let Some(header) = of(AUTHORIZATION).filter(|it| !it.is_empty()) else {
        return match of(ACCEPT) {
            Some(wanted) if wanted.contains("text/html") => Ok(Err(Redirect::to("account"))),
            _ => Err(refused("there is no token")),
        };
    };
    let store = &app.cloud.store;
    let claims = admitted(&app, header)?;
    let user = UserId::new(&claims.sub);
    let usage = accounts::usage(store, &user, now);
    let (account, usage) = tokio::join!(accounts::user(store, &claims), usage);
    let (account, usage) = (account?, usage?);
    // The plugin's first call: who connects is about to paint.
    presence::note_if_solvent(&app.cloud, &account, &usage, Sign::Call, &app.settings, now).await;
    let recorded = recording::class(store, &account.team).await?;
    let credits = usage.left(&account).credits_left();
    let news = [recorded.then(|| words::RECORDED.en.to_owned()), usage.news()];
    let news: Vec<_> = news.into_iter().flatten().collect();
    Ok(Ok(Json(User {
        id: account.user_id,
        name: account.name,
        images_generated: usage.images,
        credits,
        max_upload_size: app.settings.max_lora,
        max_control_layers: CONTROL_LAYERS,
        socket: app.socket_url.clone(),
        recording: recorded,
        news: (!news.is_empty()).then(|| news.join(" ")),
    })))
}

fn refused(reason: &str) -> HttpError {
    HttpError::new(401, format!("Please sign in again: {reason}."))
}

/// What a painter's token says, as `authorize` would find, which is not asked on this route.
fn admitted(app: &App, header: &str) -> Result<Claims, HttpError> {
    let token = token::bearer(header).ok_or_else(|| refused("there is no token"))?;
    let claims = app.verifier.verify(token);
    let claims = claims.map_err(|error| refused(error.reason()))?;
    if PAINTERS.contains(&claims.role) {
        Ok(claims)
    } else {
        Err(HttpError::new(403, "This token may not be used for that."))
    }
}

/// A version of the plugin.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Latest {
    version: String,
}

/// The plugin's own version, so that it never offers to install another.
#[utoipa::path(
    get, path = "/v1/plugin/latest", tag = "signing in",
    params(("version" = Option<String>, Query, description = "The plugin's own version")),
    responses((status = 200, body = Latest))
)]
pub(crate) async fn latest(query: Query) -> Json<Latest> {
    let version = query.first("version").unwrap_or_default();
    Json(Latest { version })
}

/// The document that describes this API.
const DOCUMENT: &str = include_str!("../../../docs/openapi.json");

/// This document.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "signing in", responses((status = 200, body = Object)))]
pub(crate) async fn document() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT)
}
