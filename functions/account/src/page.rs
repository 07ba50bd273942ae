//! The sign-in page: one file, no scripts, readable on a phone and by a screen reader.

use model::SignIn;

use crate::{App, visit::Visit};

/// What the page may load and do: nothing but its own style and its own form.
pub(crate) const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("page.css");

/// What the page asks about.
pub(crate) struct Ask<'a> {
    pub(crate) sign_in: &'a SignIn,
    /// The browser's address.
    pub(crate) browser: String,
    /// Whether the studio has a provider.
    pub(crate) provider: bool,
    /// Whom the provider has named to this browser.
    pub(crate) name: Option<&'a str>,
    /// What was wrong with the last answer.
    pub(crate) problem: Option<&'a str>,
}

impl<'a> Ask<'a> {
    pub(crate) fn of(app: &App, sign_in: &'a SignIn, visit: &Visit) -> Self {
        Self {
            sign_in,
            browser: visit.address.clone(),
            provider: app.provider.is_some(),
            name: None,
            problem: None,
        }
    }
}

/// Asks who it is, or for the confirmation of whom the provider has named.
pub(crate) fn ask(ask: &Ask<'_>) -> String {
    let alert = |html: &str| format!("<p class=\"warning\" role=\"alert\">{html}</p>");
    let problem = ask.problem.map_or_else(String::new, |text| alert(&escape(text)));
    let elsewhere = if ask.sign_in.address == ask.browser {
        String::new()
    } else {
        alert(&format!(
            "<strong>This sign-in was started from another network</strong> than this browser’s ({}). If you did not \
             start it yourself in Krita a moment ago, somebody may be trying to paint at your studio’s expense: close \
             this page.",
            escape(&ask.browser)
        ))
    };
    let (device, address, code) = (
        escape(&ask.sign_in.device),
        escape(&ask.sign_in.address),
        escape(&ask.sign_in.code),
    );
    let you = ask
        .name
        .map_or_else(String::new, |name| format!("<dt>You</dt><dd>{}</dd>", escape(name)));
    let form = |fields: &str, class: &str| {
        format!(
            "<form method=\"post\" action=\"sign-in\"><input type=\"hidden\" name=\"code\" value=\"{code}\">{fields}\
             <button class=\"{class}\">Yes, let it in</button></form>"
        )
    };
    let answer = match (ask.name, ask.provider) {
        (Some(_), _) => form("", ""),
        (None, true) => format!(
            "<p><a class=\"button\" href=\"sign-in/provider?code={code}\">Sign in with your studio account</a></p>\
             <p class=\"or\">or</p>{}",
            form(INVITATION, "quiet")
        ),
        (None, false) => form(INVITATION, ""),
    };
    page(
        "Let Krita in?",
        &format!(
            "<p>A program asks to paint on your studio’s machines in your name.</p>\
             <dl><dt>Device</dt><dd>{device}</dd><dt>Address</dt><dd>{address}</dd>{you}</dl>{elsewhere}{problem}{answer}\
             <p class=\"note\">If you did not start this in Krita, just close this page: without your answer nothing happens.</p>"
        ),
    )
}

const INVITATION: &str = "<label for=\"invitation\">Your invitation</label>\
    <input id=\"invitation\" name=\"invitation\" required maxlength=\"100\" autocomplete=\"one-time-code\" \
    autocapitalize=\"none\" spellcheck=\"false\">";

/// Says that it is done.
pub(crate) fn approved(sign_in: &SignIn) -> String {
    let device = escape(&sign_in.device);
    page(
        "You are signed in",
        &format!("<p role=\"status\">{device} may paint now. Go back to Krita and close this page.</p>"),
    )
}

/// Says what went wrong.
pub(crate) fn problem(text: &str) -> String {
    page(
        "That did not work",
        &format!("<p class=\"warning\" role=\"alert\">{}</p>", escape(text)),
    )
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title} · Atelier</title>\
         <style>{STYLE}</style></head><body><main><p class=\"brand\">Atelier</p><h1>{title}</h1>{body}</main></body></html>"
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
