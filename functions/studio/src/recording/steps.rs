use std::sync::Arc;

use axum::{extract::State, response::Response};
use cloud::{http::Query, page::Cursor};
use maud::{Markup, html};
use model::{Parameters, Step};
use tasks::recording;
use web::{Frame, Page, Problem, Visitor, written};

use super::{address, named};
use crate::{App, show::FRAME, words::name};

/// Steps on one page: each has up to 300 KB of pictures, and an answer may have 6 MB.
const STEPS: u32 = 10;

pub(super) const STYLE: &str = concat!(include_str!("../studio.css"), include_str!("steps.css"));
/// A moment of a step.
const MOMENT: &str = "%-d %b %Y, %H:%M:%S UTC";

/// A document's history, step by step.
#[utoipa::path(
    get, path = "/v1/studio/history/steps", tag = "pages",
    params(
        ("of" = Option<String>, Query, description = "Whose; the visitor's own if left out"),
        ("document" = String, Query, description = "Which document"),
        ("after" = Option<String>, Query, description = "Where the history goes on"),
    ),
    responses(
        (status = 200, body = String, content_type = "text/html; charset=utf-8"),
        (status = 303, description = "To the sign-in, and back: this browser is not signed in"),
        (status = 404, body = String, content_type = "text/html; charset=utf-8", description = "No such document, or another team's"),
    )
)]
pub(crate) async fn steps(State(app): State<Arc<App>>, visitor: Visitor, query: Query) -> Result<Response, Problem> {
    let (owner, document) = named(&query, &visitor.account)?;
    let after = query.first("after").map(Cursor::from);
    let store = &app.cloud.store;
    let found = recording::steps(store, &visitor.account, &owner, &document, after.as_ref(), STEPS).await?;
    let here = |path: &str, more: Option<&str>| {
        let address = address(path, &owner, &document);
        match more {
            Some(cursor) => format!(
                "{address}&{}",
                crate::words::to("", &[("after", cursor)]).trim_start_matches('?')
            ),
            None => address,
        }
    };
    let from = after.as_ref().map(|it| it.as_ref().to_owned());
    let export = |form: &str| format!("{}&form={form}", here("export", from.as_deref()));
    let body = html! {
        p { a href="../history" { "Back to the histories" } }
        p.soft { "By " (name(&found.owner.name)) ". Steps in order, the first one first." }
        @if found.steps.entries.is_empty() { p { "No step here." } }
        (list(&found.steps.entries))
        p.buttons {
            @if after.is_some() { a.button.quiet.small href=(here("steps", None)) { "From the beginning" } }
            @if let Some(next) = &found.steps.next { a.button.small href=(here("steps", Some(next.as_ref()))) { "Next steps" } }
        }
        h2 { "Take it with you" }
        p { "From " @if after.is_some() { "this page" } @else { "the first step" } " on: one HTML file that needs nothing else, or a time-lapse as an animated PNG." }
        p.buttons {
            a.button.quiet.small href=(export("html")) download { "HTML file" }
            a.button.quiet.small href=(export("apng")) download { "Time-lapse" }
        }
    };
    let frame = Frame { style: STYLE, ..FRAME };
    let title = format!("How it came to be: {}", plain(&found.document));
    Ok(Page(frame.page(&title, &body), None).with("img-src data:"))
}

/// What a document is called, where no marks can be.
pub(super) fn plain(document: &model::Document) -> String {
    if document.document.is_unnamed() {
        "pictures that name no document".to_owned()
    } else if document.name.is_empty() {
        document.document.to_string()
    } else {
        document.name.clone()
    }
}

/// Steps as they are shown.
pub(super) fn list(steps: &[Step]) -> Markup {
    html! { ol.steps { @for step in steps { (one(step)) } } }
}

fn one(step: &Step) -> Markup {
    let last = step.applied.last().map(|it| it.picture);
    html! {
        li {
            h2 { (written(step.asked, MOMENT)) }
            @if let Some(asked) = &step.parameters { (parameters(asked)) }
            div.pictures {
                @if let Some(input) = &step.pictures.input {
                    figure { img src=(data(input)) alt="What was sent"; figcaption { "Sent" } }
                }
                @for (place, picture) in (0_u32..).zip(&step.pictures.results) {
                    figure.taken[last == Some(place)] {
                        @if picture.is_empty() { span.gone { "Too large to be kept" } }
                        @else { img src=(data(picture)) alt={ "Picture " (place + 1) }; }
                        figcaption { "Picture " (place + 1) @if last == Some(place) { ", taken" } }
                    }
                }
            }
            @if step.ended.is_none() { p.soft { "No picture was recorded: it failed, was canceled, or recording was stopped meanwhile." } }
            @else if step.pictures.results.is_empty() { p.soft { "The picture itself was not kept." } }
            @if let Some(ended) = step.ended {
                p.soft { "There after " (crate::words::time(ended.since(step.asked))) "." }
            }
            @for applied in &step.applied {
                p.soft { "Picture " (applied.picture + 1) " was put into the document at " (written(applied.at, "%H:%M:%S")) "." }
            }
        }
    }
}

/// What was asked for, in the painter's words first.
fn parameters(asked: &Parameters) -> Markup {
    let size = format!("{} × {}", asked.width, asked.height);
    let loras: Vec<_> = asked
        .loras
        .iter()
        .map(|it| format!("{} ({})", it.name, it.strength))
        .collect();
    let number = |it: Option<f64>| it.map(|it| it.to_string()).unwrap_or_default();
    let more = [
        ("Kind", asked.kind.clone()),
        ("Model", asked.checkpoint.clone()),
        ("LoRAs", loras.join(", ")),
        ("Control layers", asked.control.join(", ")),
        ("Sampler", asked.sampler.clone()),
        ("Steps", asked.steps.map(|it| it.to_string()).unwrap_or_default()),
        ("Guidance", number(asked.guidance)),
        ("Strength", number(asked.strength)),
        ("Seed", asked.seed.map(|it| it.to_string()).unwrap_or_default()),
        ("Size", size),
    ];
    let texts = [
        ("Prompt", &asked.prompt),
        ("Regions", &asked.regions.join(" · ")),
        ("To avoid", &asked.negative_prompt),
    ];
    html! {
        @for (what, text) in texts {
            @if !text.is_empty() { p { span.soft { (what) ": " } bdi { (text.chars().take(PROMPT).collect::<String>()) @if text.chars().count() > PROMPT { "…" } } } }
        }
        details {
            summary { "How it was asked for" }
            dl { @for (what, text) in &more { @if !text.is_empty() { dt { (what) } dd { bdi { (text) } } } } }
        }
    }
}

/// Characters of a prompt that are shown.
const PROMPT: usize = 2000;

/// A small picture where it is shown. Only base64 of a WebP is ever kept as one.
fn data(picture: &str) -> String {
    format!("data:image/webp;base64,{picture}")
}
