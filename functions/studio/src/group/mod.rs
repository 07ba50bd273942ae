//! A group of variants side by side: whole without scripts.

pub(crate) mod compare;

use std::sync::Arc;

use axum::{extract::State, response::Response};
use cloud::http::{HttpError, Now, PathId, Query};
use maud::{Markup, html};
use model::{GroupId, Member, Task, TaskState};
use tasks::groups::{self, Asker, Seen};
use web::{Frame, Page, Problem, Tongue, Visitor, origin};

use crate::{
    App,
    own::stands,
    words::{many, name, to},
};

const STYLE: &str = include_str!("group.css");
const NO_GROUP: &str = "There is no such group, or it is not yours.";

/// What every page of a group looks like.
const FRAME: Frame<'static> = Frame {
    style: STYLE,
    script: "",
    tongue: Tongue::English,
};

/// A group of variants side by side: a painter's own, a lead's team's, for an operator everybody's.
#[utoipa::path(
    get, path = "/v1/groups/{id}/page", tag = "pages",
    params(
        ("id" = GroupId, Path),
        ("one" = Option<usize>, Query, description = "Instead, without their labels: this variant, by its place from 0,"),
        ("other" = Option<usize>, Query, description = "and this one"),
    ),
    responses(
        (status = 200, body = String, content_type = "text/html; charset=utf-8"),
        (status = 303, description = "To the sign-in, and back: this browser is not signed in"),
        (status = 400, body = String, content_type = "text/html; charset=utf-8", description = "The two cannot be compared"),
        (status = 404, body = String, content_type = "text/html; charset=utf-8", description = "There is none that the visitor may see"),
    )
)]
pub(crate) async fn page(
    State(app): State<Arc<App>>,
    Now(now): Now,
    visitor: Visitor,
    id: Result<PathId<GroupId>, HttpError>,
    query: Query,
) -> Result<Response, Problem> {
    let PathId(id) = id?;
    let account = &visitor.account;
    let seen = groups::read(&app.cloud.store, id, asker(&visitor)).await?;
    let seen = seen.ok_or_else(|| HttpError::new(404, NO_GROUP))?;
    let mut pictures = Vec::with_capacity(seen.tasks.len());
    for task in &seen.tasks {
        pictures.push(address(&app, task.as_ref()).await?);
    }
    let origin = pictures.iter().flatten().next().and_then(|it| origin(&it.shown));
    let sheet = match &seen.group.sheet {
        Some(key) => Some(app.cloud.bucket.presign_get(key, app.settings.url_life).await?),
        None => None,
    };
    let cookie = visitor.renewed(&*app, now).await?;
    let pair = compare::named(&seen, &pictures, &query)?;
    let all = html! {
        p.soft { "Asked for by " (name(seen.group.owner.as_str())) ", " (seen.group.created.written()) ". As of " (now.written()) "." }
        (summary(&seen))
        ul.variants {
            @for ((member, task), picture) in seen.group.members.iter().zip(&seen.tasks).zip(&pictures) {
                (variant(member, task.as_ref(), picture.as_ref(), seen.group.owner == account.user_id))
            }
        }
        @if let Some(sheet) = sheet { p { a href=(sheet) { "All of them as one picture" } } }
        (compare::choose(&seen.group, &pictures, &account.user_id))
        p { a href="../../account" { "Your other variants and pictures" } }
        p { a href="../../studio" { "To the studio" } }
    };
    let body = match pair {
        Some(pair) => compare::compared(&visitor, &seen.group, &pictures, pair),
        None => all,
    };
    let images = origin.map(|it| format!("img-src {it}"));
    Ok(Page(FRAME.page("Variants", &body), cookie).with(images.as_deref().unwrap_or_default()))
}

/// Who looks.
fn asker(visitor: &Visitor) -> Asker<'_> {
    Asker {
        user: &visitor.account.user_id,
        team: &visitor.account.team,
        role: visitor.account.role,
    }
}

/// Addresses of a variant's pictures.
struct Picture {
    /// What is shown: the thumbnail of the first, or all of them where there is none.
    shown: String,
    /// Those of the others.
    others: Vec<String>,
    /// Of each whether it may come alone.
    alone: Vec<bool>,
    /// All of them.
    whole: String,
}

/// Where the pictures are, once they are there.
async fn address(app: &App, task: Option<&Task>) -> Result<Option<Picture>, HttpError> {
    let Some(result) = task.and_then(|it| it.result.as_ref()) else {
        return Ok(None);
    };
    let (bucket, life) = (&app.cloud.bucket, app.settings.url_life);
    let whole = bucket.presign_get(&result.place(), life).await?;
    let mut keys = result.thumbnail_keys();
    let shown = match keys.next() {
        Some(key) => bucket.presign_get(&key, life).await?,
        None => whole.clone(),
    };
    let mut others = Vec::new();
    for key in keys {
        others.push(bucket.presign_get(&key, life).await?);
    }
    let alone = result.alone().map(|it| it.is_some()).collect();
    Ok(Some(Picture {
        shown,
        others,
        alone,
        whole,
    }))
}

fn summary(seen: &Seen) -> Markup {
    let counts = TaskState::ALL.into_iter().map(|it| (it, seen.count(it)));
    let counts = counts.filter(|(_, count)| *count > 0);
    let words: Vec<_> = counts
        .map(|(state, count)| format!("{count} {}", word(state)))
        .collect();
    html! {
        p role="status" {
            (words.join(", ")) ". "
            (many(seen.cost().credits_needed(), "credit")) @if !seen.is_finished() { " at most" } "."
        }
        @if !seen.is_finished() { p { a.button.quiet.small href="page" { "Look again" } } }
    }
}

/// A variant's pictures, each leading to the large one. A stranger's are in one file.
fn images(member: &Member, picture: &Picture, own: bool) -> Markup {
    let many = !picture.others.is_empty();
    let alone = |number: usize| own && many && picture.alone.get(number - 1) == Some(&true);
    let large = |number: usize| {
        if alone(number) {
            to(
                "../../account/picture",
                &[("task", &member.task_id.to_string()), ("number", &number.to_string())],
            )
        } else {
            picture.whole.clone()
        }
    };
    html! {
        @for (url, number) in std::iter::once(&picture.shown).chain(&picture.others).zip(1..) {
            a href=(large(number)) {
                img src=(url) loading="lazy" width="256" height="256" alt={ "Picture " @if many { (number) " " } "of " (member.label) };
            }
        }
        @if many { p.soft { a href=(picture.whole) { "All " (picture.others.len() + 1) " in one file" } } }
    }
}

/// A state as it is counted.
const fn word(state: TaskState) -> &'static str {
    match state {
        TaskState::Queued => "waiting",
        TaskState::Running => "being rendered",
        TaskState::Canceling => "being canceled",
        TaskState::Succeeded => "done",
        TaskState::Failed => "failed",
        TaskState::Canceled => "canceled",
        TaskState::Expired => "took too long",
    }
}

/// `own`: the visitor has asked for it, and may look at each of its pictures alone.
fn variant(member: &Member, task: Option<&Task>, picture: Option<&Picture>, own: bool) -> Markup {
    let state = task.map_or_else(|| "kept no more".to_owned(), stands);
    html! {
        li {
            figure {
                @match picture {
                    Some(it) => (images(member, it, own)),
                    None => div.empty { (state) },
                }
                figcaption {
                    bdi { (member.label) }
                    @if let Some(error) = task.and_then(|it| it.error.as_ref()) { p.soft { (error.message) } }
                    @else if picture.is_some() { p.soft { (state) } }
                }
            }
        }
    }
}
