//! Saying no in words for a painter.

/// How much of a painter's own text a refusal repeats, in characters.
const QUOTED: usize = 60;

/// Why a request cannot be painted: what is wrong, and what the painter can do about it.
///
/// Displayed, it begins with "Validation error: ", which the plugin shows as it is, on one line of at most 180 characters,
/// where the plugin cuts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Validation error: {0}")]
pub struct Refusal(String);

impl Refusal {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// A feature of the protocol that this server does not have yet; `what` with its verb in mind, as in "inpaint is".
pub(crate) fn not_yet(what: &str) -> Refusal {
    Refusal::new(format!("{what} is not available on this server yet."))
}

/// A name from a closed list, such as a request kind or an architecture, that is not in the list.
pub(crate) fn unknown(what: &str, name: &str) -> Refusal {
    Refusal::new(format!(
        "this server does not know the {what} {}. Update the plugin or the server.",
        quote(name)
    ))
}

/// A part of the request that its kind cannot do without.
pub(crate) fn missing(what: &str) -> Refusal {
    Refusal::new(format!("the request has no {what}. Update the plugin, then try again."))
}

/// The painter's text in quotation marks, shortened, on one line.
pub(crate) fn quote(text: &str) -> String {
    let line = |c: char| if c.is_control() { ' ' } else { c };
    if text.chars().nth(QUOTED).is_none() {
        return format!("\"{}\"", text.chars().map(line).collect::<String>());
    }
    let start: String = text.chars().take(QUOTED - 1).map(line).collect();
    format!("\"{start}…\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_short_and_on_one_line() {
        assert_eq!(quote("a\nb"), "\"a b\"");
        assert_eq!(quote(&"x".repeat(60)).chars().count(), 62);
        assert_eq!(quote(&"ß".repeat(61)), format!("\"{}…\"", "ß".repeat(59)));
    }
}
