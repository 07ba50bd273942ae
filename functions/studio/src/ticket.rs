//! The ticket for a WebSocket, since a browser can send no header there. It opens one socket, at once.

use std::sync::Arc;

use accounts::fingerprint;
use axum::extract::State;
use cloud::{
    Write,
    http::{Form, HttpError, Json, Now},
};
use model::Ticket;
use serde::Serialize;
use utoipa::ToSchema;
use web::{Visit, Visitor};

use crate::{App, act::FormSecret};

/// Where to open a WebSocket.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Opened {
    /// The address with the ticket in it: good once, for half a minute.
    url: String,
}

/// A ticket for the visitor's WebSocket.
#[utoipa::path(
    post, path = "/v1/studio/ticket", tag = "pages",
    request_body(content = FormSecret, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, body = Opened),
        (status = 303, description = "To the sign-in: this browser is not signed in"),
        (status = 403, description = "No page of ours sent it"),
    )
)]
pub(crate) async fn give(
    State(app): State<Arc<App>>,
    Now(now): Now,
    visit: Visit,
    visitor: Visitor,
    form: Form,
) -> Result<Json<Opened>, HttpError> {
    visit.must_be_ours()?;
    visitor.wrote(&form)?;
    let secret = uuid::Uuid::new_v4().simple().to_string();
    let user = visitor.account.user_id.clone();
    let mut ticket = Ticket::new(fingerprint(&secret), user, visitor.since(), now);
    app.cloud.store.commit([Write::put(&mut ticket)?]).await?;
    Ok(Json(Opened {
        url: format!("{}?ticket={secret}", app.socket_url),
    }))
}
