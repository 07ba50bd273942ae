//! The languages of the pages that a painter meets before they have chosen anything.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, Uri, header::ACCEPT_LANGUAGE},
    middleware::Next,
    response::Response,
};

use crate::frame;

/// A language.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Tongue {
    /// For whoever asks for none of the others.
    #[default]
    English,
    /// In simplified characters.
    Chinese,
}

impl Tongue {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// As the pages and their addresses name it (BCP 47).
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// What the address asks for (`lang`), which stays when a form is sent.
    pub(crate) fn asked(uri: &Uri) -> Option<Self> {
        let mut query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        query.find_map(|(name, value)| if name == "lang" { Self::named(&value) } else { None })
    }

    /// What the address asks for, or else the first of the browser's languages that there is.
    pub(crate) fn of(uri: &Uri, headers: &HeaderMap) -> Self {
        let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|it| it.to_str().ok());
        Self::asked(uri)
            .or_else(|| Self::accepted(accepted.unwrap_or_default()))
            .unwrap_or_default()
    }

    /// The language of a tag; none of ours for Chinese in traditional characters.
    pub fn named(tag: &str) -> Option<Self> {
        let mut parts = tag.split(['-', '_']).map(str::to_ascii_lowercase);
        match parts.next()?.as_str() {
            "en" => Some(Self::English),
            "zh" => (!parts.any(|it| ["tw", "hk", "mo", "hant"].contains(&it.as_str()))).then_some(Self::Chinese),
            _ => None,
        }
    }

    /// The best of an `Accept-Language`.
    fn accepted(header: &str) -> Option<Self> {
        let mut best: Option<(Self, f32)> = None;
        for range in header.split(',').take(MOST_RANGES) {
            let mut parts = range.split(';').map(str::trim);
            let Some(tongue) = parts.next().and_then(Self::named) else {
                continue;
            };
            let weight = parts.find_map(|it| it.strip_prefix("q="));
            let weight = weight.map_or(1.0, |it| it.parse().unwrap_or(0.0));
            if weight > best.map_or(0.0, |(_, best)| best) {
                best = Some((tongue, weight));
            }
        }
        best.map(|(tongue, _)| tongue)
    }
}

/// Languages of a browser that are read; nobody lists more.
const MOST_RANGES: usize = 50;

/// Words in each language. `{}` is where something is filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phrase {
    /// English.
    pub en: &'static str,
    /// Chinese, in simplified characters.
    pub zh: &'static str,
}

impl Phrase {
    /// In this language.
    pub const fn say(self, tongue: Tongue) -> &'static str {
        match tongue {
            Tongue::English => self.en,
            Tongue::Chinese => self.zh,
        }
    }

    /// In this language, with these values in its places.
    pub fn fill(self, tongue: Tongue, values: &[&str]) -> String {
        let mut values = values.iter();
        let mut parts = self.say(tongue).split("{}");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            text.push_str(values.next().copied().unwrap_or_default());
            text.push_str(part);
        }
        text
    }

    /// What is filled in of this English text; none if it is another phrase's.
    fn values(self, text: &str) -> Option<Vec<&str>> {
        let mut parts = self.en.split("{}");
        let mut rest = text.strip_prefix(parts.next()?)?;
        let mut values = Vec::new();
        let mut parts = parts.peekable();
        while let Some(part) = parts.next() {
            let at = if parts.peek().is_none() {
                rest.ends_with(part).then(|| rest.len() - part.len())?
            } else {
                rest.find(part)?
            };
            values.push(&rest[..at]);
            rest = &rest[at + part.len()..];
        }
        rest.is_empty().then_some(values)
    }
}

/// What a page of a problem says, for whoever says it in another language.
#[derive(Debug, Clone)]
pub(crate) struct Said(pub(crate) String);

/// Says in the browser's language what went wrong, where the words are known.
pub async fn translated(problems: &'static [Phrase], request: Request, next: Next) -> Response {
    let tongue = Tongue::of(request.uri(), request.headers());
    let mut response = next.run(request).await;
    let said = response.extensions_mut().remove::<Said>();
    if let Some(Said(text)) = said.filter(|_| tongue != Tongue::English) {
        let known = problems.iter().find_map(|it| Some((it, it.values(&text)?)));
        if let Some((phrase, values)) = known {
            let page = frame::problem(tongue, &phrase.fill(tongue, &values));
            *response.body_mut() = Body::from(page.into_string());
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_s_languages_are_weighed() {
        for (header, wanted) in [
            ("", None),
            ("de-DE,fr;q=0.5", None),
            ("zh-CN,zh;q=0.9,en;q=0.8", Some(Tongue::Chinese)),
            ("en-GB,zh-CN;q=0.9", Some(Tongue::English)),
            ("en;q=0.2, zh-Hans-SG;q=0.7", Some(Tongue::Chinese)),
            ("zh-TW,zh-Hant;q=0.9,en;q=0.1", Some(Tongue::English)),
            ("zh;q=0", None),
            ("zh;q=x,en", Some(Tongue::English)),
            (";;;,,zh_CN", Some(Tongue::Chinese)),
        ] {
            assert_eq!(Tongue::accepted(header), wanted, "{header}");
        }
        assert_eq!(Tongue::accepted(&"de,".repeat(100_000)), None);
    }

    #[test]
    fn the_address_is_more_than_the_browser() {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, "zh-CN".parse().unwrap());
        let of = |uri: &str| Tongue::of(&uri.parse().unwrap(), &headers);
        assert_eq!(of("/v1/sign-in?code=a&lang=en"), Tongue::English);
        assert_eq!(of("/v1/sign-in?lang=tlh"), Tongue::Chinese);
        assert_eq!(
            Tongue::asked(&"/v1/sign-in?lang=zh-CN".parse().unwrap()),
            Some(Tongue::Chinese)
        );
        for tongue in Tongue::ALL {
            assert_eq!(Tongue::named(tongue.tag()), Some(tongue));
        }
    }

    #[test]
    fn what_is_filled_in_is_found_again() {
        let phrase = Phrase {
            en: "Wait {} s, then run {} --now.",
            zh: "请等待 {} 秒，然后运行 {} --now。",
        };
        let text = phrase.fill(Tongue::English, &["5", "ops {} x"]);
        assert_eq!(text, "Wait 5 s, then run ops {} x --now.");
        let values = phrase.values(&text).unwrap();
        assert_eq!(values, ["5", "ops {} x"]);
        assert_eq!(
            phrase.fill(Tongue::Chinese, &values),
            "请等待 5 秒，然后运行 ops {} x --now。"
        );
        for other in [
            "Wait 5 s",
            "wait 5 s, then run x --now.",
            "",
            "Wait 5 s, then run x --now. Or not.",
        ] {
            assert_eq!(phrase.values(other), None, "{other}");
        }
        let plain = Phrase {
            en: "No.", zh: "不。"
        };
        assert_eq!(plain.values("No."), Some(vec![]));
        assert_eq!(plain.values("No. Or yes."), None);
    }
}
