//! Numbers and times as people write them.

use std::time::Duration;

use maud::{Markup, html};
use model::{MicroUsd, Millis};

/// How long something takes or is ago.
pub(crate) fn time(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// How long ago that was. A clock that is ahead says "0 s".
pub(crate) fn ago(at: Millis, now: Millis) -> String {
    time(now.since(at))
}

/// Machine time.
pub(crate) fn hours(time: Duration) -> String {
    format!("{:.1} h", time.as_secs_f64() / 3600.0)
}

/// So many of what one is called.
pub(crate) fn many(count: u64, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// An amount.
pub(crate) fn usd(amount: MicroUsd) -> String {
    format!("US$ {:.2}", amount.0 as f64 / 1e6)
}

/// What somebody has chosen to be called, apart from the words around it, whichever way it is written.
pub(crate) fn name(text: &str) -> Markup {
    let short: String = text.chars().take(60).collect();
    html! { bdi { (short) @if short.len() < text.len() { "…" } } }
}

/// A model's file without folders.
pub(crate) fn model(file: Option<&str>) -> Markup {
    let file = file.map_or("–", |it| it.rsplit('/').next().unwrap_or(it));
    name(file)
}

/// The beginning of an id that is long, with the rest to be seen by pointing at it.
pub(crate) fn id(text: &str) -> Markup {
    // Ids begin with a time and end with what tells them apart.
    let tail = text.len().saturating_sub(8);
    let tail = text.get(tail..).unwrap_or(text);
    html! { abbr title=(text) { "…" (tail) } }
}

/// An address below the page, with these parameters.
pub(crate) fn to(path: &str, parameters: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}
