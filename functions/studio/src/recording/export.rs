//! A history to be taken along: as one HTML file, or as a time-lapse.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use cloud::{
    Store,
    http::{HttpError, Query},
    page::Cursor,
};
use maud::{Markup, html};
use model::{Account, DocumentId, Step, UserId};
use tasks::recording::{self, HistoryError};
use web::{DATE, Frame, Problem, Visitor, written};

use super::{
    named,
    steps::{STYLE, list, plain},
};
use crate::{App, show::FRAME};

/// Steps that are read at once.
const AT_ONCE: u32 = 20;
/// Most bytes of an export: an answer of a function may have 6 MB, and pictures travel as base64.
const MOST: usize = 4 * 1024 * 1024;
/// Most steps that a time-lapse is made of.
const LAPSE: usize = 1000;
/// Most frames of a time-lapse: of more steps, some are left out evenly.
const FRAMES: usize = 120;

/// A document's history as a file: from the place that the address names, or from its beginning on.
#[utoipa::path(
    get, path = "/v1/studio/history/export", tag = "pages",
    params(
        ("of" = Option<String>, Query, description = "Whose; the visitor's own if left out"),
        ("document" = String, Query, description = "Which document"),
        ("form" = String, Query, description = "`html` or `apng`"),
        ("after" = Option<String>, Query, description = "Where to begin"),
    ),
    responses(
        (status = 200, body = String, content_type = "text/html; charset=utf-8", description = "At most 4 MB; says where it ends. Or an animated PNG, `image/apng`, of at most 120 frames"),
        (status = 303, description = "To the sign-in, and back: this browser is not signed in"),
        (status = 404, body = String, content_type = "text/html; charset=utf-8", description = "No such document, or another team's"),
    )
)]
pub(crate) async fn export(State(app): State<Arc<App>>, visitor: Visitor, query: Query) -> Result<Response, Problem> {
    let (owner, document) = named(&query, &visitor.account)?;
    let after = query.first("after").map(Cursor::from);
    let read = Read {
        store: &app.cloud.store,
        account: &visitor.account,
        owner,
        document,
    };
    match query.first("form").as_deref() {
        Some("html") => read.file(after).await,
        Some("apng") => read.lapse(after).await,
        _ => Err(HttpError::new(400, "A history is exported as `html` or as `apng`.").into()),
    }
}

struct Read<'a> {
    store: &'a Store,
    account: &'a Account,
    owner: UserId,
    document: DocumentId,
}

impl Read<'_> {
    async fn page(&self, after: Option<&Cursor>) -> Result<recording::History, HistoryError> {
        recording::steps(self.store, self.account, &self.owner, &self.document, after, AT_ONCE).await
    }

    async fn file(&self, mut after: Option<Cursor>) -> Result<Response, Problem> {
        let (mut parts, mut size, mut count, mut cut) = (Vec::new(), 0, 0, None);
        let document = loop {
            let found = self.page(after.as_ref()).await?;
            for step in found.steps.entries {
                let part = list(std::slice::from_ref(&step));
                size += part.0.len();
                if size > MOST && count > 0 {
                    cut = Some(step.asked);
                    break;
                }
                parts.push(part);
                count += 1;
            }
            after = found.steps.next;
            if after.is_none() || cut.is_some() {
                break (found.document, found.owner);
            }
        };
        let (document, owner) = document;
        let body: Markup = html! {
            p.soft { "By " bdi { (owner.name) } ", " (count) " steps." }
            @for part in &parts { (part) }
            @if let Some(from) = cut {
                p.warning { "This file ends here because of its size. The next step is that of " (written(from, DATE)) ": open the page of the history where it is, and export from there." }
            }
        };
        let frame = Frame { style: STYLE, ..FRAME };
        let page = frame
            .page(&format!("How it came to be: {}", plain(&document)), &body)
            .into_string();
        Ok((
            [
                (CONTENT_TYPE, "text/html; charset=utf-8"),
                (CONTENT_DISPOSITION, "attachment; filename=\"history.html\""),
            ],
            page,
        )
            .into_response())
    }

    async fn lapse(&self, mut after: Option<Cursor>) -> Result<Response, Problem> {
        let mut pictures = Vec::new();
        loop {
            let found = self.page(after.as_ref()).await?;
            pictures.extend(found.steps.entries.iter().filter_map(shown));
            after = found.steps.next;
            if after.is_none() || pictures.len() >= LAPSE {
                break;
            }
        }
        let made = tokio::task::spawn_blocking(move || pictures::lapse(&evenly(&pictures, FRAMES), MOST)).await;
        let made = made.map_err(HttpError::broken)?;
        let made = made.ok_or_else(|| HttpError::new(404, "There is no picture in this history yet."))?;
        Ok((
            [
                (CONTENT_TYPE, "image/apng"),
                (CONTENT_DISPOSITION, "attachment; filename=\"history.png\""),
            ],
            made,
        )
            .into_response())
    }
}

/// The picture of a step that its painter took, or the first one that there is.
fn shown(step: &Step) -> Option<Vec<u8>> {
    let taken = step
        .applied
        .last()
        .and_then(|it| step.pictures.results.get(it.picture as usize));
    let there = |it: &&String| !it.is_empty();
    let picture = taken
        .filter(there)
        .or_else(|| step.pictures.results.iter().find(there))?;
    BASE64_STANDARD.decode(picture).ok()
}

/// At most so many of them, evenly, the first and the last among them.
fn evenly<T>(all: &[T], most: usize) -> Vec<&T> {
    if all.len() <= most {
        return all.iter().collect();
    }
    let last = all.len() - 1;
    (0..most)
        .filter_map(|place| all.get(place * last / (most - 1)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::evenly;

    #[test]
    fn what_is_left_out_is_left_out_evenly() {
        let all: Vec<_> = (0..1000).collect();
        let some = evenly(&all, 120);
        assert_eq!((some.len(), *some[0], *some[119]), (120, 0, 999));
        let gaps: Vec<_> = some.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (8..=9).contains(gap)), "{gaps:?}");
        assert_eq!(evenly(&all[..3], 120), [&0, &1, &2]);
    }
}
