//! The audit list: who has done what.

use std::sync::Arc;

use accounts::audit;
use axum::extract::State;
use cloud::{
    StoreError,
    http::{HttpError, Query},
    page::Cursor,
};
use maud::{Markup, html};
use model::{Audit, Role};
use web::{Page, Problem, Visitor};

use crate::{
    App,
    show::FRAME,
    words::{name, to},
};

/// What those who run the studio have done, newest first.
#[utoipa::path(
    get, path = "/v1/studio/audit", tag = "pages",
    params(("after" = Option<String>, Query, description = "Where the list goes on")),
    responses(
        (status = 200, body = String, content_type = "text/html; charset=utf-8"),
        (status = 303, description = "To the sign-in: this browser is not signed in"),
        (status = 403, body = String, content_type = "text/html; charset=utf-8", description = "For operators alone"),
    )
)]
pub(crate) async fn list(State(app): State<Arc<App>>, visitor: Visitor, query: Query) -> Result<Page, Problem> {
    if visitor.account.role != Role::Operator {
        return Err(HttpError::new(403, "This list is for your studio’s operators.").into());
    }
    let after = query.first("after").map(Cursor::from);
    let page = audit::page(&app.cloud.store, after.as_ref(), audit::MOST).await;
    let page = page.map_err(|error| match error {
        StoreError::Cursor { .. } => HttpError::new(400, "This is no place in the list. Begin again at its top."),
        error => error.into(),
    })?;
    let body = html! {
        p { a href="../studio" { "Back to the studio" } }
        (table(&page.entries))
        @if let Some(next) = &page.next {
            p { a href=(to("audit", &[("after", next.as_ref())])) { "Older" } }
        }
    };
    Ok(Page(FRAME.page("What was done", &body), None))
}

/// Lines of the list.
pub(crate) fn table(lines: &[Audit]) -> Markup {
    html! {
        @if lines.is_empty() { p { "Nothing yet." } }
        @else {
            div.scroll tabindex="0" role="region" aria-label="What was done" {
                table {
                    thead { tr { th scope="col" { "When" } th scope="col" { "Who" } th scope="col" { "What" } th scope="col" { "On" } th scope="col" { "Before" } th scope="col" { "After" } } }
                    tbody {
                        @for line in lines {
                            tr {
                                td { (line.at.written()) }
                                td { (name(&line.who)) }
                                td { (name(&line.what)) }
                                td { (name(&line.on)) }
                                td { bdi { (line.before) } }
                                td { bdi { (line.after) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
