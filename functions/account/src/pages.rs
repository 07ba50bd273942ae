//! The pages that the plugin's links lead to: the website, the account, and how to get more credits.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, response::Response};
use cloud::{
    Write,
    http::{Form, HttpError, Now},
    on_conflict,
};
use history::index::Scope;
use maud::{Markup, html};
use model::{Account, Group, Millis, Task, TaskState, Usage};
use tasks::{groups, list, recording};
use utoipa::ToSchema;
use web::{DATE, Page, Problem, Redirect, Visit, Visitor, origin, page, written};

use crate::{App, page::whom, words};

/// How many of the newest tasks are shown, and for how long: as long as their pictures are kept.
const SHOWN: u32 = 24;
const KEPT: Duration = Duration::from_hours(7 * 24);
/// How many of the newest groups of variants are named.
const GROUPS: usize = 6;

/// What this is, for whoever follows the plugin's link to the website.
#[utoipa::path(
    get, path = "/v1", tag = "pages",
    responses((status = 200, body = String, content_type = "text/html; charset=utf-8"))
)]
pub(crate) async fn website(State(app): State<Arc<App>>) -> Page {
    let body = html! {
        p { "This is your studio’s own render cloud for Krita. It belongs to your studio; nothing is sold here." }
        p { a.button href="v1/account" { "Your account and pictures" } }
        p.note { "To paint, choose the online service in Krita’s AI settings and sign in. Questions: ask " (whom(&app)) "." }
    };
    Page(page("Atelier", &body), None)
}

/// How to get more credits, for whoever follows the plugin's link to a shop.
#[utoipa::path(
    get, path = "/v1/checkout/{item}", tag = "pages",
    params(("item" = String, Path, description = "Ignored")),
    responses((status = 200, body = String, content_type = "text/html; charset=utf-8"))
)]
pub(crate) async fn more(State(app): State<Arc<App>>) -> Page {
    let body = html! {
        p { "Credits are not bought here: your studio gives each painter some for each month." }
        p { "If yours do not suffice, ask " strong { (whom(&app)) } " for more." }
        p { a.button href="../account" { "See what is left" } }
    };
    Page(page("More credits", &body), None)
}

/// Who the painter is, what is left of the month, their devices, their pictures of the last days and their last groups of variants.
#[utoipa::path(
    get, path = "/v1/account", tag = "pages",
    responses(
        (status = 200, body = String, content_type = "text/html; charset=utf-8"),
        (status = 303, description = "To the sign-in: this browser is not signed in"),
    )
)]
pub(crate) async fn account(State(app): State<Arc<App>>, Now(now): Now, visitor: Visitor) -> Result<Response, Problem> {
    let store = &app.cloud.store;
    let user = &visitor.account.user_id;
    let usage = accounts::usage(store, user, now);
    let class = recording::class(store, &visitor.account.team);
    let own = Scope::Owner(user.clone());
    let groups = groups::list(store, &own, None, GROUPS);
    let (usage, newest, class, groups) = tokio::join!(usage, list::page(store, user, None, None, SHOWN), class, groups);
    let (usage, newest, class, (groups, _)) = (usage?, newest?.entries, class?, groups?);
    let mut pictures = Vec::new();
    for task in newest.iter().filter(|it| now.since(it.created) < KEPT) {
        pictures.push((task, Links::of(&app, task).await?));
    }
    let images = pictures.iter().find_map(|(_, links)| origin(&links.as_ref()?.file));
    let cookie = visitor.renewed(&*app, now).await?;
    let body = html! {
        (who(&visitor.account))
        @if let Some(news) = usage.news() { p.warning { (news) } }
        @if class { p.warning { (words::RECORDED.en) } }
        (month(&app, &visitor.account, &usage, now))
        (devices(&visitor))
        (shown(&pictures))
        (variants(&groups))
        p { a href="studio/history" { "How your pictures came to be" } }
        h2 { "This browser" }
        (sign_out_form(&visitor, "", "", "Sign this browser out", "quiet"))
        (sign_out_form(&visitor, "everywhere", "yes", "Sign out everywhere, every device and browser", "quiet"))
    };
    let images = images.map(|it| format!("img-src {it}"));
    Ok(Page(page("Your account", &body), cookie).with(images.as_deref().unwrap_or_default()))
}

/// Addresses of a task's pictures.
struct Links {
    /// The file with all of them.
    file: String,
    /// Of each picture the small one, and whether it may come alone.
    each: Vec<(Option<String>, bool)>,
}

impl Links {
    async fn of(app: &App, task: &Task) -> Result<Option<Self>, HttpError> {
        let Some(result) = &task.result else { return Ok(None) };
        let (bucket, life) = (&app.cloud.bucket, app.settings.url_life);
        let mut small = result.thumbnail_keys();
        let mut each = Vec::with_capacity(result.offsets.len());
        for place in result.alone() {
            let small = match small.next() {
                Some(key) => Some(bucket.presign_get(&key, life).await?),
                None => None,
            };
            each.push((small, place.is_some()));
        }
        let file = bucket.presign_get(&result.place(), life).await?;
        Ok(Some(Self { file, each }))
    }
}

fn who(account: &Account) -> Markup {
    html! {
        dl {
            dt { "You" } dd { (account.name) }
            dt { "Name here" } dd { (account.user_id) }
            dt { "Team" } dd { (account.team) }
        }
    }
}

fn month(app: &App, account: &Account, usage: &Usage, now: Millis) -> Markup {
    let unpaid = usage.unpaid_ms / 60_000;
    html! {
        h2 { (written(now, "%B %Y")) }
        dl {
            dt { "Left" } dd { (usage.left(account).credits_left()) " of " (account.credits) " credits" }
            dt { "Spent" } dd { (usage.spent.credits_needed()) }
            dt { "Reserved" } dd { (usage.reserved.credits_needed()) }
            dt { "Pictures" } dd { (usage.images) }
            @if unpaid > 0 { dt { "Rendered for nothing" } dd { (unpaid) " min" } }
        }
        p.note {
            "A picture reserves the number on Krita’s button, and takes what it did cost, never more; what fails or is canceled \
             costs nothing. "
            "To get more, ask " (whom(app)) "."
        }
    }
}

fn devices(visitor: &Visitor) -> Markup {
    let devices = &visitor.account.devices;
    html! {
        h2 { "Your devices" }
        @if devices.is_empty() { p { "No device that signed in lately." } }
        ul.list {
            @for device in devices.iter().rev() {
                li {
                    div { strong { (device.name) } br; span.soft { "since " (written(device.at, DATE)) } }
                    (sign_out_form(visitor, "device", &device.id, "Sign out", "quiet small"))
                }
            }
        }
    }
}

/// A button that ends something.
fn sign_out_form(visitor: &Visitor, name: &str, value: &str, words: &str, class: &str) -> Markup {
    html! {
        form method="post" action="sign-out" {
            input type="hidden" name="form" value=(visitor.form());
            @if !name.is_empty() { input type="hidden" name=(name) value=(value); }
            button class=(class) { (words) }
        }
    }
}

fn shown(pictures: &[(&Task, Option<Links>)]) -> Markup {
    html! {
        h2 { "Your pictures of the last days" }
        @if pictures.is_empty() { p { "None in the last seven days." } }
        ul.list {
            @for (task, links) in pictures {
                li {
                    div {
                        strong { (written(task.created, DATE)) } br; span.soft { (words(task)) }
                        @if let Some(links) = links { (each(task, links)) }
                    }
                    @if let Some(links) = links {
                        a.button.quiet.small href=(links.file) download { @if links.each.len() > 1 { "All in one file" } @else { "Download" } }
                    }
                }
            }
        }
        p.note { "Pictures are kept for seven days. The links are good for an hour; open this page again for new ones." }
    }
}

/// The last groups of variants, each with its page.
fn variants(groups: &[Group]) -> Markup {
    html! {
        @if !groups.is_empty() {
            h2 { "Your last variants" }
            ul.list {
                @for group in groups {
                    li {
                        div {
                            a href={ "groups/" (group.group_id) "/page" } { (group.members.len()) " variants of " (written(group.created, DATE)) }
                            @if let Some(first) = group.members.first() { br; bdi.soft { (first.label) " …" } }
                        }
                    }
                }
            }
        }
    }
}

/// Each of a task's pictures: seen small, and large by itself.
fn each(task: &Task, links: &Links) -> Markup {
    html! {
        p.pictures {
            @for ((small, alone), number) in links.each.iter().zip(1..) {
                @let name = format!("Picture {number} of {}", links.each.len());
                @let picture = html! {
                    @match small {
                        Some(url) => img src=(url) loading="lazy" width="96" height="96" alt=(name);,
                        None => (name),
                    }
                };
                @if *alone { a href=(format!("account/picture?task={}&number={number}", task.task_id)) { (picture) } " " }
                @else { (picture) " " }
            }
        }
    }
}

/// Where a task stands.
fn words(task: &Task) -> String {
    match task.state {
        TaskState::Queued => "waits".to_owned(),
        TaskState::Running => format!("is being rendered, {:.0} %", task.progress() * 100.0),
        TaskState::Canceling | TaskState::Canceled => "canceled".to_owned(),
        TaskState::Expired => "took too long".to_owned(),
        TaskState::Failed => task.error.as_ref().map_or("failed", |it| &it.message).to_owned(),
        TaskState::Succeeded => match task.result.as_ref().map_or(0, |it| it.offsets.len()) {
            1 => "1 picture".to_owned(),
            many => format!("{many} pictures"),
        },
    }
}

/// What a button of the account's page sends.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the document's: a form's fields are read by name")]
pub(crate) struct SignOutForm {
    /// What the session's pages carry.
    form: String,
    /// The device to sign out.
    device: Option<String>,
    /// `yes`: every device and browser.
    everywhere: Option<String>,
}

/// Signs out a device, everything, or without either this browser. Every socket of the painter is closed with a device, since
/// they do not say which one they are; the others come back by themselves.
#[utoipa::path(
    post, path = "/v1/sign-out", tag = "pages",
    request_body(content = SignOutForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "To the account, or to the sign-in"),
        (status = 403, body = String, content_type = "text/html; charset=utf-8", description = "No page of ours sent it"),
    )
)]
pub(crate) async fn sign_out(
    State(app): State<Arc<App>>,
    Now(now): Now,
    visit: Visit,
    visitor: Visitor,
    form: Form,
) -> Result<Redirect, Problem> {
    visit.must_be_ours()?;
    visitor.wrote(&form)?;
    let (device, everywhere) = (form.field("device"), form.field("everywhere") == "yes");
    if device.is_empty() && !everywhere {
        return Ok(Redirect {
            location: "sign-in".to_owned(),
            cookie: Some(visitor.end(&*app).await?),
        });
    }
    let (store, user) = (&app.cloud.store, visitor.account.user_id.clone());
    on_conflict!({
        let Some(mut account) = store.get(&user).await? else {
            return Ok(());
        };
        if everywhere {
            account.revoke(now);
        } else if !account.sign_out(&device) {
            return Ok(());
        }
        let writes = [Write::put(&mut account)?, accounts::leaving(&user, now)?];
        Ok::<_, HttpError>(store.commit(writes).await?)
    })?;
    accounts::hang_up(store, &app.cloud.sockets, &user).await?;
    Ok(Redirect::to("account"))
}
