//! The sign-in's pages.

use maud::{Markup, html};
use model::SignIn;
use web::{Frame, Phrase, Tongue, Visit, Visitor, alert, way_back};

use crate::{App, words};

/// In which language a page is, and whether its address says so.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct In {
    tongue: Tongue,
    asked: Option<Tongue>,
}

impl From<&Visit> for In {
    fn from(visit: &Visit) -> Self {
        Self {
            tongue: visit.tongue,
            asked: visit.asked,
        }
    }
}

impl In {
    fn say(self, phrase: Phrase) -> &'static str {
        phrase.say(self.tongue)
    }

    fn page(self, title: Phrase, body: &Markup) -> Markup {
        let frame = Frame {
            tongue: self.tongue,
            ..Frame::default()
        };
        frame.page(self.say(title), body)
    }

    /// Where the form goes: it asks for the language that this page was asked for.
    fn form(self) -> String {
        let asked = self.asked.map(|it| format!("?lang={}", it.tag()));
        format!("sign-in{}", asked.unwrap_or_default())
    }

    /// The way to the provider for a device, which comes back in the same language.
    fn provider(self, code: &str) -> String {
        let asked = self.asked.map(|it| format!("&lang={}", it.tag()));
        format!("sign-in/provider?code={code}{}", asked.unwrap_or_default())
    }
}

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
    pub(crate) problem: Option<Phrase>,
    /// The page's language.
    pub(crate) language: In,
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
            language: visit.into(),
        }
    }
}

fn invitation(language: In, filled: &str) -> Markup {
    html! {
        label for="invitation" { (language.say(words::INVITATION)) }
        input #invitation name="invitation" value=[Some(filled).filter(|it| !it.is_empty())] required maxlength="100"
            autocomplete="one-time-code" autocapitalize="none" spellcheck="false";
    }
}

/// Asks who it is, or for the confirmation of whom the provider or the session has named.
pub(crate) fn ask(ask: &Ask<'_>) -> Markup {
    let (sign_in, language) = (ask.sign_in, ask.language);
    let say = |phrase| language.say(phrase);
    let form = |fields: Markup, class: &str| {
        html! {
            form method="post" action=(language.form()) {
                input type="hidden" name="code" value=(sign_in.code);
                (fields)
                button class=(class) { (say(words::YES)) }
            }
        }
    };
    // Last, so that nobody says so by mistake on the way to the button.
    let stay = html! {
        label.check { input type="checkbox" name="stay" value="yes"; (say(words::STAY)) }
    };
    let elsewhere = words::BEWARE.fill(language.tongue, &[&ask.browser]);
    language.page(
        words::LET_IN,
        &html! {
            p { (say(words::ASKS)) }
            dl {
                dt { (say(words::DEVICE)) } dd { (sign_in.device) }
                dt { (say(words::ADDRESS)) } dd { (sign_in.address) }
                @if let Some(name) = ask.name { dt { (say(words::YOU)) } dd { (name) } }
            }
            @if sign_in.address != ask.browser {
                (alert(&html! {
                    strong { (say(words::ELSEWHERE)) } (elsewhere)
                }))
            }
            @if let Some(problem) = ask.problem { (alert(&html! { (say(problem)) })) }
            @match (ask.name, ask.form, ask.provider) {
                (Some(_), Some(secret), _) => (form(html! { input type="hidden" name="form" value=(secret); }, "")),
                (Some(_), None, _) => (form(stay, "")),
                (None, _, true) => {
                    p { a.button href=(language.provider(&sign_in.code)) { (say(words::AT_PROVIDER)) } }
                    p.or { (say(words::OR)) }
                    (form(html! { (invitation(language, "")) (stay) }, "quiet"))
                }
                (None, _, false) => (form(html! { (invitation(language, "")) (stay) }, "")),
            }
            p.note { (say(words::NOT_ME)) }
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
    pub(crate) problem: Option<Phrase>,
    /// The page's language.
    pub(crate) language: In,
}

impl<'a> Who<'a> {
    /// By what the address or the form says.
    pub(crate) fn new(visit: &Visit, next: Option<&'a str>, invitation: Option<&'a str>) -> Self {
        Self {
            language: visit.into(),
            next: next.and_then(way_back),
            invitation: invitation.filter(|it| it.len() <= 100).unwrap_or_default(),
            problem: None,
        }
    }
}

/// Asks who this browser's painter is.
pub(crate) fn ask_who(app: &App, who: &Who<'_>) -> Markup {
    let (provider, language) = (app.provider.is_some(), who.language);
    let say = |phrase| language.say(phrase);
    let (title, why) = if who.next.is_some() {
        (words::YOUR_STUDIO, words::TO_STUDIO)
    } else {
        (words::YOUR_ACCOUNT, words::TO_ACCOUNT)
    };
    let query = who.next.map(|next| {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("next", next)
            .finish();
        format!("?{query}")
    });
    let maker = if app.contact.is_empty() {
        say(words::SOMEBODY)
    } else {
        &app.contact
    };
    let how = words::HOW.fill(language.tongue, &[maker]);
    language.page(
        title,
        &html! {
            p { (say(why)) }
            @if let Some(problem) = who.problem { (alert(&html! { (say(problem)) })) }
            @if provider {
                p { a.button href={ "sign-in/provider" (query.unwrap_or_default()) } { (say(words::AT_PROVIDER)) } }
                p.or { (say(words::OR)) }
            }
            form method="post" action=(language.form()) {
                @if let Some(next) = who.next { input type="hidden" name="next" value=(next); }
                (invitation(language, who.invitation))
                button class=(if provider { "quiet" } else { "" }) { (say(words::SIGN_IN)) }
            }
            p.note { (how) }
        },
    )
}

/// Whom a painter asks.
pub(crate) fn whom(app: &App) -> &str {
    if app.contact.is_empty() {
        words::SOMEBODY.en
    } else {
        &app.contact
    }
}

/// Says that it is done.
pub(crate) fn approved(language: In, sign_in: &SignIn, signed_in: bool, recorded: bool) -> Markup {
    let say = |phrase| language.say(phrase);
    language.page(
        words::SIGNED_IN,
        &html! {
            p role="status" { (sign_in.device) (say(words::GO_BACK)) }
            @if recorded { (alert(&html! { (say(words::RECORDED)) })) }
            @if signed_in { p { a href="account" { (say(words::SEE_ACCOUNT)) } } }
        },
    )
}
