//! Prompts of the picture and of its regions.

use super::{
    raw,
    region::{self, Region},
    style::{MAX_TEXT, strip_languages, with_style},
    text::{Encoded, encode_text},
};
use crate::{
    check::StoredImages,
    draft::{Draft, Link, flow},
    inventory::Inventory,
    models::Loaded,
    refusal::Refusal,
    sizing::Frame,
    wire::Conditioning,
};

/// Of all regions together.
const MAX_REGION_LORAS: usize = 64;

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
    /// `guided` tells whether guidance has a use for the negative prompt; `raw` is for prompts that the plugin sends as the
    /// painter wrote them.
    pub(crate) fn parse(
        wire: &Conditioning,
        stored: StoredImages,
        inventory: &Inventory,
        guided: bool,
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
        let written = |text: &str| if raw { raw::plain(text) } else { text.to_owned() };
        let root = written(&wire.positive);
        let mut regions = vec![];
        for region in &wire.regions {
            let prompt = with_style(&written(&region.positive), &wire.style, translated)?;
            regions.push(Region::parse(region, prompt, stored, inventory)?);
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
            negative: guided.then_some(negative),
            regions,
        })
    }

    pub(crate) fn encode(&self, draft: &mut Draft, loaded: &Loaded, frame: &Frame<'_>) -> Encoded {
        let negative = self.negative.as_deref();
        if let Some(encoded) = region::encode(draft, loaded, &self.regions, negative, frame) {
            return encoded;
        }
        let positive = encode_text(draft, loaded, loaded.clip, &self.positive);
        let negative = negative.map_or(positive, |text| encode_text(draft, loaded, loaded.clip, text));
        Encoded { positive, negative }
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let negative = |wire: &Conditioning, guided| {
            Prompts::parse(wire, stored, &Inventory::default(), guided, false)
                .unwrap()
                .negative
        };
        assert_eq!(negative(&wire, true).as_deref(), Some("Hund"));
        assert_eq!(negative(&wire, false), None);
        wire.language.clear();
        assert_eq!(negative(&wire, true).as_deref(), Some("lang:de Hund lang:en "));
    }
}
