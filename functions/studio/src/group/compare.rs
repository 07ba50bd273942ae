//! Two variants side by side without their labels: which is better? Once somebody has said so they see which is which, and what
//! the others have said.

use std::sync::Arc;

use axum::extract::State;
use cloud::http::{Form, HttpError, Now, PathId, Query};
use maud::{Markup, html};
use model::{Group, GroupId, Pair, UserId};
use tasks::groups::{self, KeepVoteError, Seen};
use utoipa::ToSchema;
use web::{Problem, Redirect, Visit, Visitor};

use super::{NO_GROUP, Picture, asker};
use crate::{App, words::to};

const NO_PAIR: &str = "Choose two different variants whose pictures are there.";

/// The two that the address names; none if it names none.
pub(super) fn named(seen: &Seen, pictures: &[Option<Picture>], query: &Query) -> Result<Option<Pair>, HttpError> {
    let [one, other] = ["one", "other"].map(|name| query.first(name));
    if one.is_none() && other.is_none() {
        return Ok(None);
    }
    let place = |text: Option<String>| text.and_then(|it| it.parse().ok());
    let pair = place(one)
        .zip(place(other))
        .and_then(|(one, other)| seen.group.pair(one, other));
    let shown = pair.filter(|it| pictures[it.first].is_some() && pictures[it.second].is_some());
    shown.map(Some).ok_or_else(|| HttpError::new(400, NO_PAIR))
}

/// The two, and the question or what was answered.
pub(super) fn compared(visitor: &Visitor, group: &Group, pictures: &[Option<Picture>], pair: Pair) -> Markup {
    let voter = &visitor.account.user_id;
    let preferred = group.preferred(pair, voter);
    let [left, right] = group.shown(pair, voter);
    html! {
        h2 { @if preferred.is_some() { "Compared" } @else { "Which is better?" } }
        ul.variants.two {
            @for (name, place, other) in [("A", left, right), ("B", right, left)] {
                li { figure {
                    @if let Some(picture) = &pictures[place] {
                        a href=(picture.whole) { img src=(picture.shown) width="256" height="256" alt={ "Picture " (name) }; }
                    }
                    figcaption {
                        @if preferred.is_some() { strong { (name) } ": " bdi { (group.members[place].label) } }
                        @else {
                            form method="post" action="page" {
                                input type="hidden" name="form" value=(visitor.form());
                                input type="hidden" name="better" value=(place);
                                input type="hidden" name="worse" value=(other);
                                button.quiet { (name) " is better" }
                            }
                        }
                    }
                } }
            }
        }
        @if preferred.is_some() { p role="status" { (said(group, pair, voter)) } }
        @else { p.note { "Which is which, and what others have said, is told once you have said it." } }
        p { a href="page" { "All variants" } }
    }
}

/// What this person has said of the two, and how many say what.
fn said(group: &Group, pair: Pair, voter: &UserId) -> Markup {
    let [first, second] = [pair.first, pair.second].map(|at| &group.members[at].label);
    let own = group.preferred(pair, voter).map(|at| &group.members[at].label);
    let [for_first, for_second] = group.tally(pair);
    html! {
        bdi { (first) } " " strong { (for_first) " : " (for_second) } " " bdi { (second) }
        @if let Some(own) = own { ". You preferred " bdi { (own) } "." }
    }
}

/// Asks which two are to be compared, once there are two pictures, and says what came of those that the visitor has compared.
pub(super) fn choose(group: &Group, pictures: &[Option<Picture>], voter: &UserId) -> Markup {
    let there: Vec<_> = (0..group.members.len()).filter(|at| pictures[*at].is_some()).collect();
    let own = group.votes.iter().filter(|vote| vote.voter == *voter);
    let own: Vec<_> = own.filter_map(|vote| group.pair(vote.better, vote.worse)).collect();
    let select = |name: &str, words: &str, chosen: usize| {
        html! {
            label for=(name) { (words) }
            select id=(name) name=(name) {
                @for at in &there { option value=(at) selected[*at == chosen] { (group.members[*at].label) } }
            }
        }
    };
    html! {
        @if let [first, second, ..] = there[..] {
            section {
                h2 { "Compare two of them blind" }
                form.choose method="get" action="page" {
                    (select("one", "One", first))
                    (select("other", "The other", second))
                    button.quiet { "Compare" }
                }
                @if !own.is_empty() {
                    ul {
                        @for pair in own {
                            li {
                                (said(group, pair, voter)) " "
                                a href=(address(pair)) { "Look at both" }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn address(pair: Pair) -> String {
    let [one, other] = [pair.first, pair.second].map(|at| at.to_string());
    to("page", &[("one", &one), ("other", &other)])
}

/// What the page's buttons send.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the document's: a form's fields are read by name")]
pub(crate) struct VoteForm {
    /// What the session's pages carry.
    form: String,
    /// The variant that is better: its place in the group, from 0.
    better: usize,
    /// The other.
    worse: usize,
}

/// Keeps which of two variants the visitor prefers: once for each two, as they said first.
#[utoipa::path(
    post, path = "/v1/groups/{id}/page", tag = "pages", params(("id" = GroupId, Path)),
    request_body(content = VoteForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "To the two, or to the sign-in"),
        (status = 400, body = String, content_type = "text/html; charset=utf-8", description = "These are no two of the group"),
        (status = 403, body = String, content_type = "text/html; charset=utf-8", description = "No page of ours sent it"),
        (status = 404, body = String, content_type = "text/html; charset=utf-8", description = "There is none that the visitor may see"),
        (status = 409, body = String, content_type = "text/html; charset=utf-8", description = "It has as many votes as it can hold"),
    )
)]
pub(crate) async fn vote(
    State(app): State<Arc<App>>,
    Now(_): Now,
    visit: Visit,
    visitor: Visitor,
    id: Result<PathId<GroupId>, HttpError>,
    form: Form,
) -> Result<Redirect, Problem> {
    visit.must_be_ours()?;
    visitor.wrote(&form)?;
    let PathId(id) = id?;
    let place = |name| form.field(name).parse().map_err(|_| HttpError::new(400, NO_PAIR));
    let (better, worse) = (place("better")?, place("worse")?);
    let kept = groups::vote(&app.cloud.store, id, asker(&visitor), better, worse).await;
    let kept = kept.map_err(|error| match error {
        KeepVoteError::Store(error) => error.into(),
        KeepVoteError::Vote(model::VoteError::NoPair) => HttpError::new(400, NO_PAIR),
        KeepVoteError::Vote(model::VoteError::Full) => {
            HttpError::new(409, "This group has as many votes as it can hold.")
        }
    })?;
    if !kept {
        return Err(HttpError::new(404, NO_GROUP).into());
    }
    let (first, second) = (better.min(worse), better.max(worse));
    Ok(Redirect::to(address(Pair { first, second })))
}
