//! The page itself.

use std::sync::Arc;

use axum::{extract::State, http::header::CONTENT_TYPE, response::IntoResponse, response::Response};
use cloud::{
    StoreError,
    http::{HttpError, Now, Query},
    page::Cursor,
};
use maud::html;
use model::{PoolId, Role};
use web::{Frame, Page, Problem, Tongue, Visitor};

use crate::{App, act, audit, line, machines, own, read::Seen, team};

const STYLE: &str = include_str!("studio.css");
const SCRIPT: &str = include_str!("studio.js");

/// What every page of the studio looks like.
pub(crate) const FRAME: Frame<'static> = Frame {
    style: STYLE,
    script: "",
    tongue: Tongue::English,
};

/// The studio: a painter sees their own pictures, a lead the team's, an operator everything.
#[utoipa::path(
    get, path = "/v1/studio", tag = "pages",
    params(
        ("pool" = Option<String>, Query, description = "An operator's wish: the pool"),
        ("team" = Option<String>, Query, description = "Where the list of the team's members goes on"),
        ("done" = Option<String>, Query, description = "What was done last"),
    ),
    responses(
        (status = 200, body = String, content_type = "text/html; charset=utf-8"),
        (status = 303, description = "To the sign-in: this browser is not signed in"),
    )
)]
pub(crate) async fn studio(
    State(app): State<Arc<App>>,
    Now(now): Now,
    visitor: Visitor,
    query: Query,
) -> Result<Response, Problem> {
    let account = &visitor.account;
    let pool = match query.first("pool").filter(|it| !it.is_empty()) {
        Some(text) => Some(
            text.parse::<PoolId>()
                .map_err(|_| HttpError::new(404, "There is no pool of that name."))?,
        ),
        None => None,
    };
    let after = query.first("team").map(Cursor::from);
    let seen = Seen::read(&app, account, pool, after.as_ref(), now).await;
    let seen = seen.map_err(|error| match error {
        StoreError::Cursor { .. } => {
            HttpError::new(400, "This is no place in the team’s list. Begin again at its top.")
        }
        error => error.into(),
    })?;
    let cookie = visitor.renewed(&*app, now).await?;
    let (pictures, origin) = own::pictures(&app, &seen, now).await?;
    let etas = own::etas(&app, &seen, now);
    let snapshot = seen.line.snapshot(&app.settings, now);
    let backlog = snapshot.map_or(&[][..], |it| it.backlog);
    let done = query.first("done").and_then(|word| act::done(&word));
    let body = html! {
        p.soft {
            "You are " bdi { (account.name) } ", " (accounts::audit::role(account.role)) ". "
            span #fresh data-live="" { "As of " (now.written()) "." }
        }
        @if let Some(words) = done { p.note role="status" { (words) } }
        @if account.role == Role::Operator {
            (machines::pool(&app, &seen, now))
            (line::line(&app, backlog, None, &etas, now))
            section #audit data-live="" { h2 { "What was done" } (audit::table(&seen.audit)) p { a href="studio/audit" { "All of it" } } }
        } @else if account.role == Role::Lead {
            (line::line(&app, backlog, Some(&account.team), &etas, now))
        }
        @if account.role != Role::Painter { (team::team(&visitor, &seen, backlog)) }
        @if account.role == Role::Operator { (team::anybody()) }
        (own::waiting(&app, &seen, &etas, now))
        (own::budget(&visitor, &seen))
        (pictures)
        form #live hidden { input type="hidden" name="form" value=(visitor.form()); }
    };
    let frame = Frame {
        script: "studio/script.js",
        ..FRAME
    };
    let socket = app.socket_url.split('/').take(3).collect::<Vec<_>>().join("/");
    let images = origin.map(|it| format!("; img-src {it}")).unwrap_or_default();
    let more = format!("script-src 'self'; connect-src 'self' {socket}{images}");
    Ok(Page(frame.page(own::title(account.role), &body), cookie).with(&more))
}

/// The page's script, the same for everybody.
#[utoipa::path(
    get, path = "/v1/studio/script.js", tag = "pages",
    responses((status = 200, body = String, content_type = "text/javascript; charset=utf-8"))
)]
pub(crate) async fn script() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT)
}
