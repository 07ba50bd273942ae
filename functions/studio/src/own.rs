//! What a painter sees: the line as it is for them, what is left, the last pictures.

use std::collections::HashMap;

use cloud::http::HttpError;
use maud::{Markup, html};
use model::{Millis, Role, Task, TaskId, TaskState};
use policy::wait::{self, Eta};
use web::{DATE, Visitor, origin, written};

use crate::{
    App,
    read::{Seen, is_open},
    words::{ago, model, time, to},
};

/// Most pictures that are shown.
const PICTURES: usize = 6;
/// As long as they are kept.
const KEPT: std::time::Duration = std::time::Duration::from_hours(7 * 24);

/// Place and time left of whoever waits, by task.
pub(crate) fn etas(app: &App, seen: &Seen, now: Millis) -> HashMap<TaskId, Eta> {
    let snapshot = seen.line.snapshot(&app.settings, now);
    snapshot
        .map(|it| wait::etas(&it).into_iter().collect())
        .unwrap_or_default()
}

/// What the visitor waits for.
pub(crate) fn waiting(app: &App, seen: &Seen, etas: &HashMap<TaskId, Eta>, now: Millis) -> Markup {
    let open: Vec<_> = seen.own.iter().filter(|it| is_open(it.state)).collect();
    html! {
        section #waiting data-live="" {
            h2 { "Your pictures in line" }
            @if open.is_empty() { p { "None waits or is being rendered." } }
            @else {
                @if open.iter().any(|it| it.state == TaskState::Queued) { p { (seen.line.words(&app.settings, now)) } }
                div.scroll tabindex="0" role="region" aria-label="Your pictures in line" {
                    table {
                        thead { tr { th scope="col" { "Asked" } th scope="col" { "Model" } th scope="col" { "Stands" } th scope="col" { "Place" } th scope="col" { "There in" } th scope="col" { "Actions" } } }
                        tbody {
                            @for task in open {
                                tr {
                                    td { (ago(task.created, now)) " ago" }
                                    td { (model(task.model.as_deref())) }
                                    td { (stands(task)) }
                                    @match etas.get(&task.task_id) {
                                        Some(eta) => { td { (eta.position) } td { "about " (time(eta.done)) } }
                                        None => { td { "–" } td { "–" } }
                                    }
                                    td { a href=(to("studio/act", &[("do", "cancel"), ("task", &task.task_id.to_string())])) { "Cancel" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Where a task stands.
pub(crate) fn stands(task: &Task) -> String {
    match task.state {
        TaskState::Queued => "waits".to_owned(),
        TaskState::Running => format!("{:.0} % rendered", task.progress() * 100.0),
        TaskState::Canceling => "is being canceled".to_owned(),
        other => other.word().to_owned(),
    }
}

/// What is left of the visitor's month.
pub(crate) fn budget(visitor: &Visitor, seen: &Seen) -> Markup {
    let (account, usage) = (&visitor.account, &seen.usage);
    html! {
        section #budget data-live="" {
            h2 { "Your month" }
            dl {
                dt { "Left" } dd { (usage.left(account).credits_left()) " of " (account.credits) " credits" }
                dt { "Spent" } dd { (usage.spent.credits_needed()) }
                dt { "Reserved" } dd { (usage.reserved.credits_needed()) }
                dt { "Pictures" } dd { (usage.images) }
            }
            p { a href="account" { "Your account, devices, variants and all pictures" } }
            p { a href="studio/history" { "How your pictures came to be" } }
        }
    }
}

/// The visitor's last pictures, and where they are loaded from.
pub(crate) async fn pictures(app: &App, seen: &Seen, now: Millis) -> Result<(Markup, Option<String>), HttpError> {
    let (mut shown, mut origin_of) = (Vec::new(), None);
    let recent = seen.own.iter().filter(|it| now.since(it.created) < KEPT);
    for (task, result) in recent.filter_map(|it| Some((it, it.result.as_ref()?))).take(PICTURES) {
        let file = app
            .cloud
            .bucket
            .presign_get(&result.place(), app.settings.url_life)
            .await?;
        let mut small = Vec::new();
        for key in result.thumbnail_keys() {
            small.push(app.cloud.bucket.presign_get(&key, app.settings.url_life).await?);
        }
        origin_of = origin_of.or_else(|| origin(&file));
        shown.push((
            task,
            file,
            small
                .into_iter()
                .zip(result.alone().map(|it| it.is_some()))
                .collect::<Vec<_>>(),
        ));
    }
    // Each look has links of its own; the pictures are changed when there are others.
    let which: Vec<_> = shown.iter().map(|(task, ..)| task.task_id.to_string()).collect();
    let markup = html! {
        section #pictures data-live=(which.join(" ")) {
            h2 { "Your last pictures" }
            @if shown.is_empty() { p { "None in the last seven days." } }
            ul.pictures {
                @for (task, file, small) in &shown {
                    @if small.is_empty() { li { (seen_small(task, file, file)) } }
                    @for ((url, alone), number) in small.iter().zip(1..) {
                        @let own = to("account/picture", &[("task", &task.task_id.to_string()), ("number", &format!("{number}"))]);
                        li { (seen_small(task, url, if *alone && small.len() > 1 { &own } else { file })) }
                    }
                }
            }
        }
    };
    Ok((markup, origin_of))
}

/// A picture that leads to the large one.
fn seen_small(task: &Task, url: &str, large: &str) -> Markup {
    html! {
        a href=(large) { img src=(url) loading="lazy" width="128" height="128" alt={ "Picture of " (written(task.created, DATE)) }; }
    }
}

/// What the visitor's role is called.
pub(crate) const fn title(role: Role) -> &'static str {
    match role {
        Role::Operator => "The studio",
        Role::Lead => "Your team",
        Role::Painter | Role::Worker => "Your studio",
    }
}
