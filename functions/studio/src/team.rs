//! What a lead sees: who paints, what they wait for, what they spent this month.

use maud::{Markup, html};
use model::{BacklogEntry, Role};
use web::Visitor;

use crate::{
    read::{Member, Seen},
    words::{many, name, to},
};

/// The visitor's team.
pub(crate) fn team(visitor: &Visitor, seen: &Seen, backlog: &[BacklogEntry]) -> Markup {
    let operates = visitor.account.role == Role::Operator;
    let spent: u64 = seen.members.iter().map(|it| it.usage.spent.credits_needed()).sum();
    html! {
        section #team data-live="" {
            h2 { "Team " (name(visitor.account.team.as_str())) }
            p {
                (many(seen.members.len() as u64, "painter")) @if seen.more_members.is_some() { " here, and more" } "; "
                (many(spent, "credit")) " spent this month."
            }
            div.scroll tabindex="0" role="region" aria-label="The team" {
                table {
                    thead { tr {
                        th scope="col" { "Painter" } th scope="col" { "Role" } th.number scope="col" { "Waits" }
                        th.number scope="col" { "Rendered now" } th.number scope="col" { "Pictures" } th.number scope="col" { "Spent" }
                        th.number scope="col" { "Left" } @if operates { th scope="col" { "Actions" } }
                    } }
                    tbody { @for member in &seen.members { (row(member, seen, backlog, operates)) } }
                }
            }
            @if let Some(next) = &seen.more_members {
                p { a href=(to("studio", &[("team", next.as_ref())])) { "More of the team" } }
            }
        }
    }
}

fn row(member: &Member, seen: &Seen, backlog: &[BacklogEntry], operates: bool) -> Markup {
    let (account, usage) = (&member.account, &member.usage);
    let user = &account.user_id;
    let waits = backlog.iter().filter(|it| it.owner == *user).count();
    let renders = seen.rendered.values().filter(|it| it.owner == *user).count();
    html! {
        tr {
            th scope="row" {
                (name(&account.name))
                @if account.name != user.as_str() { " (" (name(user.as_str())) ")" }
            }
            td { (accounts::audit::role(account.role)) }
            td.number { (waits) }
            td.number { (renders) }
            td.number { (usage.images) }
            td.number { (usage.spent.credits_needed()) }
            td.number { (usage.left(account).credits_left()) }
            @if operates { td { (links(user.as_str())) } }
        }
    }
}

/// What an operator may do about a user.
fn links(user: &str) -> Markup {
    let link =
        |deed: &str, words: &str| html! { a href=(to("studio/act", &[("do", deed), ("user", user)])) { (words) } };
    html! { (link("budget", "Budget")) " " (link("invite", "Invite")) " " (link("revoke", "Revoke")) }
}

/// Where an operator names a user who is not in the list.
pub(crate) fn anybody() -> Markup {
    html! {
        section {
            h2 { "Another user" }
            form method="get" action="studio/act" {
                label for="user" { "User’s id" }
                input #user name="user" required maxlength="100" autocapitalize="none" spellcheck="false";
                p.buttons {
                    button.quiet.small name="do" value="budget" { "Budget" } " "
                    button.quiet.small name="do" value="invite" { "Invite" } " "
                    button.quiet.small name="do" value="revoke" { "Revoke" }
                }
            }
        }
    }
}
