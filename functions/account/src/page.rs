//! The sign-in's pages.

use maud::{Markup, html};
use model::SignIn;
use web::{Visit, Visitor, alert, page, way_back};

use crate::{App, user::RECORDED};

/// What the page asks about.
pub(crate) struct Ask<'a> {
    pub(crate) sign_in: &'a SignIn,
    /// The browser's address.
    pub(crate) browser: String,
    /// Whether the studio has a provider.
    pub(crate) provider: bool,
    /// Whom the provider, or the browser's session, has named to this browser.
    pub(crate) name: Option<&'a str>,
    /// What the form must carry, if the browser is signed in.
    pub(crate) form: Option<&'a str>,
    /// What was wrong with the last answer.
    pub(crate) problem: Option<&'a str>,
}

impl<'a> Ask<'a> {
    pub(crate) fn of(app: &App, sign_in: &'a SignIn, visit: &Visit, visitor: Option<&'a Visitor>) -> Self {
        Self {
            sign_in,
            browser: visit.address.clone(),
            provider: app.provider.is_some(),
            name: visitor.map(|it| it.account.name.as_str()),
            form: visitor.map(Visitor::form),
            problem: None,
        }
    }
}

fn invitation(filled: &str) -> Markup {
    html! {
        label for="invitation" { "Your invitation" }
        input #invitation name="invitation" value=[Some(filled).filter(|it| !it.is_empty())] required maxlength="100"
            autocomplete="one-time-code" autocapitalize="none" spellcheck="false";
    }
}

/// Asks who it is, or for the confirmation of whom the provider or the session has named.
pub(crate) fn ask(ask: &Ask<'_>) -> Markup {
    let sign_in = ask.sign_in;
    let form = |fields: Markup, class: &str| {
        html! {
            form method="post" action="sign-in" {
                input type="hidden" name="code" value=(sign_in.code);
                (fields)
                button class=(class) { "Yes, let it in" }
            }
        }
    };
    // Last, so that nobody says so by mistake on the way to the button.
    let stay = html! {
        label.check { input type="checkbox" name="stay" value="yes"; " Keep me signed in here for 12 hours, to see my account and pictures. Not on a shared computer." }
    };
    page(
        "Let Krita in?",
        &html! {
            p { "A program asks to paint on your studio’s machines in your name." }
            dl {
                dt { "Device" } dd { (sign_in.device) }
                dt { "Address" } dd { (sign_in.address) }
                @if let Some(name) = ask.name { dt { "You" } dd { (name) } }
            }
            @if sign_in.address != ask.browser {
                (alert(&html! {
                    strong { "This sign-in was started from another network" }
                    " than this browser’s (" (ask.browser) "). If you did not start it yourself in Krita a moment ago, \
                     somebody may be trying to paint at your studio’s expense: close this page."
                }))
            }
            @if let Some(problem) = ask.problem { (alert(&html! { (problem) })) }
            @match (ask.name, ask.form, ask.provider) {
                (Some(_), Some(secret), _) => (form(html! { input type="hidden" name="form" value=(secret); }, "")),
                (Some(_), None, _) => (form(stay, "")),
                (None, _, true) => {
                    p { a.button href={ "sign-in/provider?code=" (sign_in.code) } { "Sign in with your studio account" } }
                    p.or { "or" }
                    (form(html! { (invitation("")) (stay) }, "quiet"))
                }
                (None, _, false) => (form(html! { (invitation("")) (stay) }, "")),
            }
            p.note { "If you did not start this in Krita, just close this page: without your answer nothing happens." }
        },
    )
}

/// What is known when a browser's painter is asked who they are.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Who<'a> {
    /// The page of ours to go on to; none: the account.
    pub(crate) next: Option<&'a str>,
    /// What the field is filled with.
    pub(crate) invitation: &'a str,
    /// What was wrong with the last answer.
    pub(crate) problem: Option<&'a str>,
}

impl<'a> Who<'a> {
    /// By what the address or the form says.
    pub(crate) fn new(next: Option<&'a str>, invitation: Option<&'a str>) -> Self {
        Self {
            next: next.and_then(way_back),
            invitation: invitation.filter(|it| it.len() <= 100).unwrap_or_default(),
            problem: None,
        }
    }
}

/// Asks who this browser's painter is.
pub(crate) fn ask_who(app: &App, who: &Who<'_>) -> Markup {
    let provider = app.provider.is_some();
    let (title, why) = if who.next.is_some() {
        ("Your studio", "Sign in to see your studio’s machines and pictures.")
    } else {
        (
            "Your account",
            "Sign in to see what is left of this month, your devices, and your pictures of the last days.",
        )
    };
    let query = who.next.map(|next| {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("next", next)
            .finish();
        format!("?{query}")
    });
    page(
        title,
        &html! {
            p { (why) }
            @if let Some(problem) = who.problem { (alert(&html! { (problem) })) }
            @if provider {
                p { a.button href={ "sign-in/provider" (query.unwrap_or_default()) } { "Sign in with your studio account" } }
                p.or { "or" }
            }
            form method="post" action="sign-in" {
                @if let Some(next) = who.next { input type="hidden" name="next" value=(next); }
                (invitation(who.invitation))
                button class=(if provider { "quiet" } else { "" }) { "Sign in" }
            }
            p.note {
                "When you sign in from Krita, tick “Keep me signed in here”, and this page opens by itself for 12 hours. "
                "Otherwise " (whom(app)) " makes an invitation for you."
            }
        },
    )
}

/// Whom a painter asks.
pub(crate) fn whom(app: &App) -> &str {
    if app.contact.is_empty() {
        "whoever looks after Atelier at your studio"
    } else {
        &app.contact
    }
}

/// Says that it is done.
pub(crate) fn approved(sign_in: &SignIn, signed_in: bool, recorded: bool) -> Markup {
    page(
        "You are signed in",
        &html! {
            p role="status" { (sign_in.device) " may paint now. Go back to Krita and close this page." }
            @if recorded { (alert(&html! { (RECORDED) })) }
            @if signed_in { p { a href="account" { "See your account" } } }
        },
    )
}
