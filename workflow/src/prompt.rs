//! Prompts: style, language, and what the text encoder makes of them.

use crate::{
    catalog::Catalog,
    check::{Request, StoredImages},
    draft::Draft,
    frame::Frame,
    graph::{Link, flow},
    input::Conditioning,
    models::Loaded,
    reference::References,
    refusal::Refusal,
    region::{self, Region},
    sampling::Sampling,
};

mod raw;

/// Of each text in a request, in characters.
const MAX_TEXT: usize = 20_000;
/// Of a prompt within its style, in characters; a style can repeat the prompt any number of times.
const MAX_MERGED: usize = 2 * MAX_TEXT;
/// Of all regions together.
const MAX_REGION_LORAS: usize = 64;
const PLACE: &str = "{prompt}";
const DIRECTIVE: &str = "lang:";

/// The texts to encode.
#[derive(Debug)]
pub(crate) struct Prompts {
    /// The root prompt or that of the only region.
    positive: String,
    /// None if guidance has no use for it.
    negative: Option<String>,
    /// None, or at least two.
    regions: Vec<Region>,
}

impl Prompts {
    /// `raw` is for a root prompt that the plugin sends as the painter wrote it.
    pub(crate) fn parse(
        wire: &Conditioning,
        sampling: &Sampling,
        stored: StoredImages,
        catalog: &Catalog,
        raw: bool,
    ) -> Result<Self, Refusal> {
        let prompts = wire.regions.iter().map(|region| ("region's prompt", &region.positive));
        let texts = [
            ("prompt", &wire.positive),
            ("negative prompt", &wire.negative),
            ("style prompt", &wire.style),
        ];
        for (what, text) in texts.into_iter().chain(prompts) {
            if text.chars().nth(MAX_TEXT).is_some() {
                return Err(Refusal::new(format!(
                    "the {what} is too long, the limit is {MAX_TEXT} characters. Shorten it."
                )));
            }
        }
        let translated = !wire.language.is_empty();
        let negative = if translated {
            strip_languages(&wire.negative)
        } else {
            wire.negative.clone()
        };
        let root = if raw {
            raw::plain(&wire.positive)
        } else {
            wire.positive.clone()
        };
        let mut regions = vec![];
        for region in &wire.regions {
            let prompt = with_style(&region.positive, &wire.style, translated)?;
            regions.push(Region::parse(region, prompt, stored, catalog)?);
        }
        let loras: usize = regions.iter().map(Region::loras).sum();
        if loras > MAX_REGION_LORAS {
            return Err(Refusal::new(format!(
                "{loras} LoRAs in regions are too many, the limit is {MAX_REGION_LORAS}. Remove some from the prompts."
            )));
        }
        let positive = match regions.as_slice() {
            [only] => only.prompt.clone(),
            _ => with_style(&root, &wire.style, translated)?,
        };
        regions.truncate(if regions.len() > 1 { regions.len() } else { 0 });
        Ok(Self {
            positive,
            negative: sampling.uses_negative().then_some(negative),
            regions,
        })
    }

    /// The area of one of several regions.
    pub(crate) fn region_mask(&self, draft: &mut Draft, place: usize, frame: &Frame<'_>) -> Link<flow::Mask> {
        region::mask(draft, &self.regions, place, frame)
    }

    /// Regions and their LoRAs: what makes a graph large.
    pub(crate) fn parts(&self) -> usize {
        self.regions.len() + self.regions.iter().map(Region::loras).sum::<usize>()
    }
}

/// The prompt within its style. An empty prompt stays empty: the painter wants no guidance by text.
fn with_style(text: &str, style: &str, translated: bool) -> Result<String, Refusal> {
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
fn strip_languages(text: &str) -> String {
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

/// Encoded prompts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoded {
    pub(crate) positive: Link<flow::Conditioning>,
    /// The positive one where guidance has no use for a negative one, since nodes want something.
    pub(crate) negative: Link<flow::Conditioning>,
}

pub(crate) fn encode(draft: &mut Draft, loaded: &Loaded, prompts: &Prompts, frame: &Frame<'_>) -> Encoded {
    let negative = prompts.negative.as_deref();
    if let Some(encoded) = region::encode(draft, loaded, &prompts.regions, negative, frame) {
        return encoded;
    }
    let positive = encode_text(draft, loaded, loaded.clip, &prompts.positive);
    let negative = negative.map_or(positive, |text| encode_text(draft, loaded, loaded.clip, text));
    Encoded { positive, negative }
}

/// All that leads a pass: the model with what it is shown, prompts, regions and control layers. `canvas` stands in for
/// control layers without a picture.
pub(crate) fn conditions(
    draft: &mut Draft,
    loaded: &Loaded,
    request: &Request,
    references: &References,
    frame: &Frame<'_>,
    canvas: Option<Link<flow::Image>>,
) -> (Loaded, Encoded) {
    let encoded = encode(draft, loaded, &request.prompts, frame);
    let (loaded, encoded) = references.apply(draft, loaded, encoded, &request.prompts, frame);
    let controls = request.controls.iter();
    let encoded = controls.fold(encoded, |encoded, control| {
        control.apply(draft, &loaded, encoded, frame, canvas)
    });
    (loaded, encoded)
}

/// With the text encoder as loaded or as a region patches it.
pub(crate) fn encode_text(
    draft: &mut Draft,
    loaded: &Loaded,
    clip: Link<flow::Clip>,
    text: &str,
) -> Link<flow::Conditioning> {
    let encoded = draft
        .node("CLIPTextEncode", [("text", text.into()), ("clip", clip.into())])
        .output(0);
    // SDXL was trained with zeros for a missing prompt, not with the encoding of "".
    if text.is_empty() && loaded.zeroes_empty_text {
        draft
            .node("ConditioningZeroOut", [("conditioning", Link::into(encoded))])
            .output(0)
    } else {
        encoded
    }
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

    #[test]
    fn directives_leave_the_negative_only_with_a_language() {
        let mut wire = Conditioning {
            positive: String::new(),
            negative: "lang:de Hund lang:en ".into(),
            style: String::new(),
            control: vec![],
            regions: vec![],
            language: "de".into(),
            edit_reference: false,
        };
        let stored = StoredImages::parse(None).unwrap();
        let negative = |wire: &Conditioning, cfg: f64| {
            let sampling = Sampling::guided(cfg);
            Prompts::parse(wire, &sampling, stored, &Catalog::default(), false)
                .unwrap()
                .negative
        };
        assert_eq!(negative(&wire, 7.0).as_deref(), Some("Hund"));
        assert_eq!(negative(&wire, 1.0), None);
        wire.language.clear();
        assert_eq!(negative(&wire, 7.0).as_deref(), Some("lang:de Hund lang:en "));
    }
}
