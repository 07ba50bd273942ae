//! How documents came to be: what is recorded of the visitor, what they say about it, and for a lead what their team has
//! agreed to show.

pub(crate) mod export;
pub(crate) mod steps;

use std::sync::Arc;

use axum::extract::State;
use cloud::{
    http::{Form, HttpError, Now, Query},
    page::Cursor,
};
use maud::{Markup, html};
use model::{Account, Document, DocumentId, Role, UserId};
use tasks::recording::{self, HistoryError};
use utoipa::ToSchema;
use web::{DATE, Page, Problem, Redirect, Visit, Visitor, written};

use crate::{
    App,
    show::FRAME,
    words::{name, to},
};

/// Documents on one page.
const DOCUMENTS: u32 = 50;

/// What is recorded of the visitor, and for a lead of their team.
#[utoipa::path(
    get, path = "/v1/studio/history", tag = "pages",
    params(
        ("after" = Option<String>, Query, description = "Where the list of the visitor's documents goes on"),
        ("team" = Option<String>, Query, description = "Where the list of the team's documents goes on"),
        ("done" = Option<String>, Query, description = "What was done last"),
    ),
    responses(
        (status = 200, body = String, content_type = "text/html; charset=utf-8"),
        (status = 303, description = "To the sign-in, and back: this browser is not signed in"),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Now(now): Now,
    visitor: Visitor,
    query: Query,
) -> Result<Page, Problem> {
    let (store, account) = (&app.cloud.store, &visitor.account);
    let (after, team) = (
        query.first("after").map(Cursor::from),
        query.first("team").map(Cursor::from),
    );
    let class = async { Ok::<_, HistoryError>(recording::class(store, &account.team).await?) };
    let own = recording::documents(store, &account.user_id, after.as_ref(), DOCUMENTS);
    let team = recording::of_team(store, account, team.as_ref(), DOCUMENTS);
    let (class, own, team) = tokio::try_join!(class, own, team)?;
    let cookie = visitor.renewed(&*app, now).await?;
    let (mut unnamed, mut named) = (None, Vec::new());
    for document in own.entries {
        if document.document.is_unnamed() {
            unnamed = Some(document);
        } else {
            named.push(document);
        }
    }
    let new = || {
        Document::new(
            account.user_id.clone(),
            DocumentId::unnamed(),
            account.team.clone(),
            now,
        )
    };
    let unnamed = unnamed.unwrap_or_else(new);
    let refused = unnamed.recording == Some(false);
    let body = html! {
        p { a href="../studio" { "Back to the studio" } }
        @if let Some(words) = query.first("done").and_then(|word| done(&word)) { p.note role="status" { (words) } }
        @if class {
            p.warning { "Your team records how pictures come to be, for teaching: each request, what was sent, what came, and what you took of it. Whoever leads the team can look at it. You may stop it and delete it here." }
        } @else {
            p { "Nothing of how your pictures come to be is recorded unless you say so here or in Krita. What is recorded is each request, what was sent, what came, and what you took of it; you and whoever leads your team can look at it." }
        }
        section {
            h2 { "Your documents" }
            ul.list {
                (own_row(&visitor, &unnamed, class))
                @for document in &named { (own_row(&visitor, document, class && !refused)) }
            }
            @if let Some(next) = &own.next { p { a href=(to("history", &[("after", next.as_ref())])) { "More of your documents" } } }
            details {
                summary { "Delete all your histories" }
                p { "Every step of every document goes for good, and nothing is recorded that you do not switch on again." }
                (button(&visitor, "delete-all", "", "Yes, delete all of it"))
            }
        }
        @if account.role != Role::Painter {
            section {
                h2 { "Your team’s documents" }
                @if team.entries.is_empty() { p { "None here." } }
                ul.list {
                    @for (document, owner) in &team.entries {
                        li { div {
                            a href=(address("history/steps", &owner.user_id, &document.document)) { (called(document)) }
                            br; span.soft { "by " (name(&owner.name)) ", " (length(document)) ", last " (written(document.last, DATE)) }
                        } }
                    }
                }
                @if let Some(next) = &team.next { p { a href=(to("history", &[("team", next.as_ref())])) { "Older" } } }
            }
        }
    };
    Ok(Page(FRAME.page("How pictures came to be", &body), cookie))
}

/// The page of a document.
pub(crate) fn address(path: &str, owner: &UserId, document: &DocumentId) -> String {
    to(path, &[("of", owner.as_str()), ("document", document.as_str())])
}

/// What a document is called.
pub(crate) fn called(document: &Document) -> Markup {
    match (document.document.is_unnamed(), document.name.as_str()) {
        (true, _) => html! { "Pictures that name no document" },
        (false, "") => name(document.document.as_str()),
        (false, called) => name(called),
    }
}

fn length(document: &Document) -> String {
    match document.steps {
        1 => "1 step".to_owned(),
        steps => format!("{steps} steps"),
    }
}

/// A document of the visitor's, and what may be said about it. `class`: it is recorded unless they say no.
fn own_row(visitor: &Visitor, document: &Document, class: bool) -> Markup {
    let recorded = document.recording.unwrap_or(class);
    let id = document.document.as_str();
    html! {
        li {
            div {
                @if document.steps > 0 { a href=(address("history/steps", &document.owner, &document.document)) { (called(document)) } }
                @else { (called(document)) }
                br; span.soft {
                    @if recorded { strong { "is recorded" } } @else { "is not recorded" }
                    @if document.steps > 0 { ", " (length(document)) ", last " (written(document.last, DATE)) }
                    @if document.steps >= Document::MOST_STEPS { ", which is as many as there may be" }
                }
                @if document.version > 0 {
                    details {
                        summary { "Delete its history" }
                        p { "Every step goes for good, and it is recorded no more." }
                        (button(visitor, "delete", id, "Yes, delete it"))
                    }
                }
            }
            @if recorded { (button(visitor, "stop", id, "Stop")) } @else { (button(visitor, "start", id, "Record")) }
        }
    }
}

fn button(visitor: &Visitor, deed: &str, document: &str, words: &str) -> Markup {
    html! {
        form method="post" action="history" {
            input type="hidden" name="form" value=(visitor.form());
            @if !document.is_empty() { input type="hidden" name="document" value=(document); }
            button.quiet.small name="do" value=(deed) { (words) }
        }
    }
}

/// What was done last, in words.
fn done(word: &str) -> Option<&'static str> {
    Some(match word {
        "start" => "It is recorded from now on.",
        "stop" => "It is recorded no more. What was recorded stays until you delete it.",
        "delete" | "delete-all" => "It is deleted.",
        _ => return None,
    })
}

/// What a button of the page sends.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the document's: a form's fields are read by name")]
pub(crate) struct HistoryForm {
    /// What the session's pages carry.
    form: String,
    /// `start`, `stop` or `delete` a document's history, or `delete-all`.
    r#do: String,
    /// Which document of the visitor's.
    document: Option<String>,
}

/// Does what the visitor says about a document of their own.
#[utoipa::path(
    post, path = "/v1/studio/history", tag = "pages",
    request_body(content = HistoryForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "To the histories, or to the sign-in"),
        (status = 403, body = String, content_type = "text/html; charset=utf-8", description = "No page of ours sent it"),
        (status = 404, body = String, content_type = "text/html; charset=utf-8"),
    )
)]
pub(crate) async fn act(
    State(app): State<Arc<App>>,
    Now(now): Now,
    visit: Visit,
    visitor: Visitor,
    form: Form,
) -> Result<Redirect, Problem> {
    visit.must_be_ours()?;
    visitor.wrote(&form)?;
    let (store, account) = (&app.cloud.store, &visitor.account);
    let deed = form.field("do");
    let document = || {
        form.field("document")
            .parse::<DocumentId>()
            .map_err(|_| HistoryError::NoDocument)
    };
    match deed.as_str() {
        "start" | "stop" => {
            let recording = deed == "start";
            recording::switch(store, account, &document()?, recording, None, now).await?;
        }
        "delete" => match recording::delete(store, account, &document()?, now).await {
            // It was pressed twice.
            Ok(()) | Err(HistoryError::NoDocument) => {}
            Err(error) => return Err(error.into()),
        },
        "delete-all" => recording::delete_all(store, account, now).await?,
        _ => return Err(HttpError::new(400, "This page cannot do that. Open it again.").into()),
    }
    Ok(Redirect::to(to("history", &[("done", &deed)])))
}

/// Whose document the address names.
pub(crate) fn named(query: &Query, account: &Account) -> Result<(UserId, DocumentId), HistoryError> {
    let owner = match query.first("of") {
        Some(text) => text.parse().map_err(|_| HistoryError::NoDocument)?,
        None => account.user_id.clone(),
    };
    let document = query.first("document").and_then(|text| text.parse().ok());
    Ok((owner, document.ok_or(HistoryError::NoDocument)?))
}
