//! What the web pages look like: one file each, readable on a phone and by a screen reader. `maud` escapes whatever is put
//! into them.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// What a page may load and do: nothing but its own style and its own forms.
pub(crate) const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("page.css");

use crate::tongue::{Phrase, Tongue};

/// What a page needs besides its words.
#[derive(Debug, Default, Clone, Copy)]
pub struct Frame<'a> {
    /// More style than every page has.
    pub style: &'a str,
    /// The address of its script; "" for none.
    pub script: &'a str,
    /// Its language.
    pub tongue: Tongue,
}

impl Frame<'_> {
    /// A whole page.
    pub fn page(self, title: &str, body: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang=(self.tongue.tag()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width,initial-scale=1";
                    title { (title) " · Atelier" }
                    style { (PreEscaped(STYLE)) (PreEscaped(self.style)) }
                    @if !self.script.is_empty() { script src=(self.script) defer {} }
                }
                body { main { p.brand { "Atelier" } h1 { (title) } (body) } }
            }
        }
    }
}

/// A whole page of the usual kind.
pub fn page(title: &str, body: &Markup) -> Markup {
    Frame::default().page(title, body)
}

/// Something that must not be overlooked.
pub fn alert(what: &Markup) -> Markup {
    html! { p.warning role="alert" { (what) } }
}

/// The title of a page that says what went wrong.
pub const PROBLEM: Phrase = Phrase {
    en: "That did not work",
    zh: "操作未成功",
};

/// Says what went wrong, in this language.
pub(crate) fn problem(tongue: Tongue, text: &str) -> Markup {
    let frame = Frame {
        tongue,
        ..Frame::default()
    };
    frame.page(PROBLEM.say(tongue), &alert(&html! { (text) }))
}

/// Scheme and host of an address.
pub fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
    (["http", "https"].contains(&scheme) && !host.is_empty() && host.bytes().all(plain))
        .then(|| format!("{scheme}://{host}"))
}
