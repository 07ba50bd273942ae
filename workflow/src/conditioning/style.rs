//! A prompt within its style, and in its language.

use crate::refusal::Refusal;

/// Of each text in a request, in characters.
pub(super) const MAX_TEXT: usize = 20_000;
/// Of a prompt within its style, in characters; a style can repeat the prompt any number of times.
const MAX_MERGED: usize = 2 * MAX_TEXT;
const PLACE: &str = "{prompt}";
const DIRECTIVE: &str = "lang:";

/// The prompt within its style. An empty prompt stays empty: the painter wants no guidance by text.
pub(super) fn with_style(text: &str, style: &str, translated: bool) -> Result<String, Refusal> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let places = style.matches(PLACE).count();
    if places
        .saturating_mul(text.chars().count())
        .saturating_add(style.chars().count())
        > MAX_MERGED
    {
        return Err(Refusal::new(
            "the prompt becomes too long, since the style repeats it. Shorten the prompt or the style.",
        ));
    }
    // A painter may switch the language in the middle of a prompt; what the style adds is always English.
    let text = if translated {
        format!("{DIRECTIVE}xx {text} {DIRECTIVE}en ")
    } else {
        text.to_owned()
    };
    let merged = match style {
        "" => text,
        _ if places > 0 => style.replace(PLACE, &text),
        _ => format!("{text}, {style}"),
    };
    Ok(if translated { strip_languages(&merged) } else { merged })
}

/// The text without `lang:xx`. There is no translator here, so the text encoder gets the painter's own words, put
/// together as a translator would: each piece trimmed, one space between.
pub(super) fn strip_languages(text: &str) -> String {
    let mut pieces = vec![];
    let mut piece_start = 0;
    for (at, _) in text.match_indices(DIRECTIVE) {
        let inside_word = text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let code_start = at + DIRECTIVE.len();
        let code = text[code_start..]
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>();
        if inside_word || code.len() != 2 || !code.is_ascii() {
            continue;
        }
        pieces.push(text[piece_start..at].trim());
        piece_start = code_start + code.len();
    }
    pieces.push(text[piece_start..].trim());
    pieces.retain(|piece| !piece.is_empty());
    pieces.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn style_surrounds_the_prompt() {
        for (text, style, language, merged) in [
            ("cat", "", "", "cat"),
            ("cat", "4k", "", "cat, 4k"),
            ("cat", "photo of {prompt}, 4k", "", "photo of cat, 4k"),
            ("cat", "{prompt}, {prompt}", "", "cat, cat"),
            ("{prompt}", "a {prompt}", "", "a {prompt}"),
            ("", "photo of {prompt}, 4k", "", ""),
            ("", "4k", "de", ""),
            ("cat", "", "de", "cat"),
            ("a", "b", "de", "a , b"),
            ("a", "the {prompt} is", "de", "the a is"),
            (
                "Hut lang:en (hat:1.2) lang:de Haus",
                "4k",
                "de",
                "Hut (hat:1.2) Haus , 4k",
            ),
            ("a lang:en b", "", "", "a lang:en b"),
            (
                "embedding:foo lang:fr embedding:bar",
                "",
                "de",
                "embedding:foo embedding:bar",
            ),
            (
                "slang:de lang:deu lang: lang:é1 x",
                "",
                "de",
                "slang:de lang:deu lang: lang:é1 x",
            ),
        ] {
            assert_eq!(
                with_style(text, style, !language.is_empty()).unwrap(),
                merged,
                "{text:?} in {style:?}"
            );
        }
    }

    #[test]
    fn a_style_cannot_blow_up_the_prompt() {
        let text = "x".repeat(MAX_TEXT);
        assert!(with_style(&text, "{prompt}", false).is_ok());
        assert!(with_style(&text, &PLACE.repeat(2_000), false).is_err());
    }
}
