//! The line in fair order, with the reason for each place.

use std::collections::HashMap;

use maud::{Markup, html};
use model::{BacklogEntry, Millis, TaskId, TeamId};
use policy::{
    place::{Reason, places},
    wait::Eta,
};

use crate::{
    App,
    words::{ago, id, model, name, time, to},
};

/// Most places that are shown.
const SHOWN: usize = 60;
/// As many as are read: more are not counted.
const READ: usize = 200;

/// The line of a pool; of one team, if one is named.
pub(crate) fn line(
    app: &App,
    backlog: &[BacklogEntry],
    of: Option<&TeamId>,
    etas: &HashMap<TaskId, Eta>,
    now: Millis,
) -> Markup {
    let all = places(backlog, &app.settings, now);
    let mine: Vec<_> = all
        .iter()
        .zip(1..)
        .filter(|(place, _)| of.is_none_or(|team| place.entry.team == *team))
        .collect();
    let more = mine.len().saturating_sub(SHOWN);
    html! {
        section #line data-live="" {
            h2 { "In line" }
            p {
                (mine.len()) @if backlog.len() >= READ { " or more" } " wait"
                @if of.is_some() { " of the team" } "."
                @if more > 0 { " The first " (SHOWN) " are shown." }
            }
            @if !mine.is_empty() {
                div.scroll tabindex="0" role="region" aria-label="In line" {
                    table {
                        thead { tr {
                            th.number scope="col" { "Place" } th scope="col" { "Painter" } th scope="col" { "Model" }
                            th scope="col" { "Waits for" } th scope="col" { "There in" } th scope="col" { "Why there" } th scope="col" { "Actions" }
                        } }
                        tbody {
                            @for (place, number) in mine.into_iter().take(SHOWN) {
                                tr {
                                    td.number { (number) }
                                    td { (name(place.entry.owner.as_str())) }
                                    td { (model(place.entry.model.as_deref())) }
                                    td { (ago(place.entry.created, now)) }
                                    td { (etas.get(&place.entry.task_id).map_or("–".to_owned(), |eta| time(eta.done))) }
                                    td { (why(&place.reason)) }
                                    td { a href=(to("studio/act", &[("do", "cancel"), ("task", &place.entry.task_id.to_string())])) { "Cancel" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A reason in words.
fn why(reason: &Reason) -> Markup {
    html! {
        @match reason {
            Reason::Expired => "its time is over; the next tick ends it",
            Reason::Unwanted => "its painter does not ask for it any more; it starts no machine",
            Reason::Failed(on) => { "failed on " (id(on.as_str())) "; another machine is to take it" }
            Reason::Turns(1) => "one of the same painter is before it: painters take turns",
            Reason::Turns(many) => { (many) " of the same painter are before it: painters take turns" }
            Reason::Next(1) => "the painter’s next; nobody waits in front of the screen",
            Reason::Next(share) => { "the painter’s next; its lane’s share is " (share) " times that of batches" }
        }
    }
}
