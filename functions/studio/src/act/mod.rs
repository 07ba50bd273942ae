//! What may be done from the page. Each deed asks first, says what is and what will be, and is done only if what it showed
//! still holds: two who press opposite buttons, or one whose page is old, are told what has changed instead.

mod carry;
mod deed;

use std::sync::Arc;

use accounts::audit::{self, By};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use cloud::http::{Form, HttpError, Now, Query};
use maud::{Markup, html};
use utoipa::ToSchema;
use web::{Page, Problem, Redirect, Visit, Visitor, alert};

pub(crate) use deed::done;
use deed::{Deed, Wanted};

use crate::{
    App,
    show::FRAME,
    words::{name, to},
};

/// What became of a deed.
enum Outcome {
    /// It is done; in which pool.
    Done(Option<String>),
    /// It is done, and this is to be shown, once.
    Shown(Markup),
    /// It is as it was to be already.
    Nothing,
    /// What was shown does not hold any more: this does.
    Stale(String),
}

/// What a page of the session carries.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the document's: a form's fields are read by name")]
pub(crate) struct FormSecret {
    /// The session's.
    form: String,
}

/// What the page that asks sends.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the document's: a form's fields are read by name")]
pub(crate) struct DeedForm {
    /// What the session's pages carry.
    form: String,
    /// How it stood when it was asked about.
    seen: String,
    /// With `limits`: most machines at once.
    machines: Option<u32>,
    /// With `limits`: US$ a month; empty for no limit.
    monthly: Option<String>,
    /// With `budget`: credits of each month.
    credits: Option<u64>,
}

/// Asks whether a deed is to be done.
#[utoipa::path(
    get, path = "/v1/studio/act", tag = "pages",
    params(
        ("do" = String, Query, description = "`pause`, `resume`, `limits`, `lift`, `hold`, `wake` a pool; `drain`, `keep`, `stop` a worker; `cancel`, `requeue` a task; `budget`, `invite`, `revoke` a user"),
        ("pool" = Option<String>, Query), ("worker" = Option<String>, Query),
        ("task" = Option<String>, Query), ("user" = Option<String>, Query),
    ),
    responses(
        (status = 200, body = String, content_type = "text/html; charset=utf-8"),
        (status = 303, description = "To the sign-in, and back: this browser is not signed in"),
        (status = 403, body = String, content_type = "text/html; charset=utf-8", description = "Not for this role"),
        (status = 404, body = String, content_type = "text/html; charset=utf-8"),
    )
)]
pub(crate) async fn ask(State(app): State<Arc<App>>, visitor: Visitor, query: Query) -> Result<Page, Problem> {
    let wanted = Wanted::read(&query)?;
    wanted.must_be_allowed(&visitor.account)?;
    let stands = carry::stands(&app, &wanted, &visitor.account).await?;
    let body = html! {
        p { (wanted.deed.says()) }
        dl {
            dt { (wanted.kind()) } dd { (name(wanted.id())) }
            dt { "Now" } dd { bdi { (stands) } }
        }
        form method="post" action=(wanted.address("act")) {
            input type="hidden" name="form" value=(visitor.form());
            input type="hidden" name="seen" value=(stands);
            (fields(wanted.deed))
            button { (wanted.deed.button()) }
        }
        p { a.button.quiet href="../studio" { "Leave it as it is" } }
    };
    Ok(Page(FRAME.page(wanted.deed.title(), &body), None))
}

/// What has to be said besides yes.
fn fields(deed: Deed) -> Markup {
    html! {
        @match deed {
            Deed::Limits => {
                label for="machines" { "Most machines at once" }
                input #machines name="machines" type="number" min="0" max="1000" required;
                label for="monthly" { "US$ a month at most; empty for no limit" }
                input #monthly name="monthly" inputmode="decimal" maxlength="12" autocomplete="off";
            }
            Deed::Budget => {
                label for="credits" { "Credits of each month; a credit is US$ 0.001 of GPU time" }
                input #credits name="credits" type="number" min="0" max="1000000000" required;
            }
            _ => {}
        }
    }
}

/// Does it.
#[utoipa::path(
    post, path = "/v1/studio/act", tag = "pages",
    params(
        ("do" = String, Query), ("pool" = Option<String>, Query), ("worker" = Option<String>, Query),
        ("task" = Option<String>, Query), ("user" = Option<String>, Query),
    ),
    request_body(content = DeedForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, body = String, content_type = "text/html; charset=utf-8", description = "An invitation, shown once"),
        (status = 303, description = "To the studio; or to the sign-in, and back to the question"),
        (status = 403, body = String, content_type = "text/html; charset=utf-8", description = "Not for this role, or no page of ours sent it"),
        (status = 404, body = String, content_type = "text/html; charset=utf-8"),
        (status = 409, body = String, content_type = "text/html; charset=utf-8", description = "What was shown does not hold any more"),
    )
)]
pub(crate) async fn act(
    State(app): State<Arc<App>>,
    Now(now): Now,
    visit: Visit,
    visitor: Visitor,
    query: Query,
    form: Form,
) -> Result<Response, Problem> {
    visit.must_be_ours()?;
    visitor.wrote(&form)?;
    let wanted = Wanted::read(&query)?;
    wanted.must_be_allowed(&visitor.account)?;
    let by = By {
        who: visitor.account.user_id.to_string(),
        now,
    };
    let outcome = carry::carry_out(&app, &wanted, &visitor.account, &form, &by).await?;
    tracing::info!(user.id = %visitor.account.user_id, deed = wanted.deed.word(), on = wanted.id(), "a deed");
    Ok(match outcome {
        Outcome::Done(pool) => {
            let mut parameters = vec![("done", wanted.deed.word())];
            parameters.extend(pool.as_deref().map(|pool| ("pool", pool)));
            Redirect::to(to("../studio", &parameters)).into_response()
        }
        Outcome::Shown(body) => Page(FRAME.page(wanted.deed.title(), &body), None).into_response(),
        Outcome::Nothing => Redirect::to("../studio?done=nothing").into_response(),
        Outcome::Stale(stands) => stale(&app, &wanted, &form.field("seen"), &stands).await?,
    })
}

/// Says what has changed since the page was made, and who changed it if that is known.
async fn stale(app: &App, wanted: &Wanted, seen: &str, stands: &str) -> Result<Response, HttpError> {
    let lines = audit::page(&app.cloud.store, None, 20).await?.entries;
    let by = lines.into_iter().find(|it| it.on == wanted.on());
    let body = html! {
        (alert(&html! { "This has changed since the page was shown to you, so nothing was done." }))
        dl {
            dt { "Shown" } dd { bdi { (seen.chars().take(400).collect::<String>()) } }
            dt { "Now" } dd { bdi { (stands) } }
            @if let Some(line) = by { dt { "Last change" } dd { (name(&line.who)) ": " (name(&line.what)) ", " (line.at.written()) } }
        }
        p { a.button href=(wanted.address("act")) { "Look again" } }
        p { a.button.quiet href="../studio" { "Back to the studio" } }
    };
    Ok(Page(FRAME.page("It has changed", &body), None).status(StatusCode::CONFLICT))
}
