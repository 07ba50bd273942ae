//! The sign-in page: one file, no scripts, readable on a phone and by a screen reader.

use model::SignIn;

/// What the page may load and do: nothing but its own style and its own form.
pub(crate) const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem}dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}\
label{display:block;font-weight:600;margin-top:1.5rem}\
input{font:inherit;width:100%;box-sizing:border-box;padding:.6rem;border:1px solid #767676;border-radius:.3rem}\
button{font:inherit;font-weight:600;margin-top:1rem;padding:.6rem 1.2rem;border:0;border-radius:.3rem;background:#1f5fbf;color:#fff}\
:focus-visible{outline:3px solid #f5a623;outline-offset:2px}\
.warning{border-left:.4rem solid #b3261e;padding:.5rem 1rem;background:#b3261e18}";

/// Asks for the invitation.
pub(crate) fn ask(sign_in: &SignIn, browser: &str, problem: Option<&str>) -> String {
    let problem = problem.map_or_else(String::new, |text| {
        format!("<p class=\"warning\" role=\"alert\">{}</p>", escape(text))
    });
    let elsewhere = if sign_in.address == browser {
        String::new()
    } else {
        format!(
            "<p class=\"warning\" role=\"alert\"><strong>This sign-in was started from another network</strong> than this \
             browser’s ({}). If you did not start it yourself in Krita a moment ago, somebody may be trying to paint at \
             your studio’s expense: close this page.</p>",
            escape(browser)
        )
    };
    let (device, address, code) = (escape(&sign_in.device), escape(&sign_in.address), escape(&sign_in.code));
    page(
        "Let Krita in?",
        &format!(
            "<p>A program asks to paint on your studio’s machines in your name.</p>\
             <dl><dt>Device</dt><dd>{device}</dd><dt>Address</dt><dd>{address}</dd></dl>{elsewhere}{problem}\
             <form method=\"post\" action=\"sign-in\">\
             <input type=\"hidden\" name=\"code\" value=\"{code}\">\
             <label for=\"invitation\">Your invitation</label>\
             <input id=\"invitation\" name=\"invitation\" required maxlength=\"100\" autocomplete=\"one-time-code\" \
             autocapitalize=\"none\" spellcheck=\"false\">\
             <button>Yes, let it in</button></form>\
             <p>If you did not start this in Krita, just close this page: without your invitation nothing happens.</p>"
        ),
    )
}

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
         <style>{STYLE}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"
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
