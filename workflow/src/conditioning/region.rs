//! Regions: parts of the picture with prompts of their own.

use super::text::{Encoded, encode_text};
use crate::{
    check::{Extent, ImageIndex, Rect, StoredImages},
    draft::{Draft, Link, flow},
    inventory::Inventory,
    models::{Loaded, Lora, parse_loras},
    plan::Operation,
    refusal::Refusal,
    sizing::{Frame, Part},
    wire,
};

/// A region covers a tile if more than one in so many of its pixels are in the region.
const COVERS: u64 = 10;

/// A checked region; the first of several is the background, whatever its mask.
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) prompt: String,
    mask: ImageIndex,
    /// x, y, width and height in the document.
    bounds: [i64; 4],
    loras: Vec<Lora>,
}

impl Region {
    pub(crate) fn parse(
        wire: &wire::Region,
        prompt: String,
        stored: StoredImages,
        inventory: &Inventory,
    ) -> Result<Self, Refusal> {
        Ok(Self {
            prompt,
            mask: stored.index("region mask", wire.mask)?,
            bounds: wire.bounds,
            loras: parse_loras(wire.loras.iter(), inventory)?,
        })
    }

    /// LoRAs of its own.
    pub(crate) fn loras(&self) -> usize {
        self.loras.len()
    }

    /// Whether a tile shows enough of this region for its prompt to matter.
    fn covers(&self, tile: Rect, whole: Extent, input: Extent) -> bool {
        let axis = |start: i64, length: i64, factor: [u32; 2], tile: u32, side: u32| {
            let scaled = |place: i64| i128::from(place) * i128::from(factor[0]) / i128::from(factor[1]);
            let (from, to) = (scaled(start), scaled(start.saturating_add(length)));
            let (tile, end) = (i128::from(tile), i128::from(tile) + i128::from(side));
            (to.min(end) - from.max(tile)).max(0)
        };
        let [x, y, width, height] = self.bounds;
        let ([whole_width, whole_height], [input_width, input_height]) = (whole.sides(), input.sides());
        let across = axis(x, width, [whole_width, input_width], tile.x, tile.extent.width());
        let down = axis(y, height, [whole_height, input_height], tile.y, tile.extent.height());
        (across * down) as u64 * COVERS > tile.extent.pixels()
    }
}

/// The prompts of at least two regions, each in its place; the negative one is for all.
pub(crate) fn encode(
    draft: &mut Draft,
    loaded: &Loaded,
    regions: &[Region],
    negative: Option<&str>,
    frame: &Frame<'_>,
) -> Option<Encoded> {
    let shown: Vec<_> = match frame.part {
        Part::Tile(whole, tile) => {
            let covers = |region: &Region| region.covers(tile, whole, frame.extents.input);
            (0..regions.len()).filter(|place| covers(&regions[*place])).collect()
        }
        _ => (0..regions.len()).collect(),
    };
    let single = match shown.as_slice() {
        [] => return None,
        [only] => Some(*only),
        _ => None,
    };
    let hooked = shown.iter().any(|place| !regions[*place].loras.is_empty());
    let mut all: Option<Encoded> = None;
    for place in shown {
        let region = &regions[place];
        let clip = region.clip(draft, loaded);
        let positive = encode_text(draft, loaded, clip, &region.prompt);
        if Some(place) == single {
            let negative = negative.map_or(positive, |text| encode_text(draft, loaded, clip, text));
            return Some(Encoded { positive, negative });
        }
        let mask = mask(draft, regions, place, frame);
        all = Some(if hooked {
            let negative = negative.map_or(positive, |text| encode_text(draft, loaded, clip, text));
            pair(draft, all, Encoded { positive, negative }, mask)
        } else {
            let masked = set_mask(draft, positive, mask);
            let positive = all.map_or(masked, |all| combine(draft, all.positive, masked));
            Encoded {
                positive,
                negative: positive,
            }
        });
    }
    let all = all?;
    // Without LoRAs one negative prompt serves all regions.
    let negative = match negative {
        Some(text) if !hooked => encode_text(draft, loaded, loaded.clip, text),
        _ => all.negative,
    };
    Some(Encoded { negative, ..all })
}

impl Region {
    /// The text encoder with this region's LoRAs, which act on the model where this prompt does.
    fn clip(&self, draft: &mut Draft, loaded: &Loaded) -> Link<flow::Clip> {
        let mut hooks: Option<Link<flow::Hooks>> = None;
        for lora in &self.loras {
            let file = draft.model_file(&lora.file);
            let settings = [
                ("lora_name", file),
                ("strength_model", lora.strength.into()),
                ("strength_clip", lora.strength.into()),
            ];
            let before = hooks.map(|hooks| ("prev_hooks", hooks.into()));
            hooks = Some(
                draft
                    .node_with("CreateHookLora", settings.into_iter().chain(before))
                    .output(0),
            );
        }
        let Some(hooks) = hooks else { return loaded.clip };
        let inputs = [
            ("clip", loaded.clip.into()),
            ("apply_to_conds", true.into()),
            ("schedule_clip", false.into()),
            ("hooks", hooks.into()),
        ];
        draft.node("SetClipHooks", inputs).output(0)
    }
}

/// The area of a region; of the background it is what the others leave over.
pub(crate) fn mask(draft: &mut Draft, regions: &[Region], place: usize, frame: &Frame<'_>) -> Link<flow::Mask> {
    let (background, others) = regions.split_at(1);
    if place > 0 {
        let mask = frame.region(draft, regions[place].mask);
        return frame.load_mask(draft, mask);
    }
    let mut masks = others
        .iter()
        .map(|other| frame.region(draft, other.mask))
        .collect::<Vec<_>>();
    masks.dedup();
    let Some((first, rest)) = masks.split_first() else {
        let mask = frame.region(draft, background[0].mask);
        return frame.load_mask(draft, mask);
    };
    let others = rest.iter().map(|other| other.place()).collect();
    let rest = draft.derive(*first, [Operation::Remainder { others }]);
    frame.load_mask(draft, rest)
}

fn set_mask(
    draft: &mut Draft,
    conditioning: Link<flow::Conditioning>,
    mask: Link<flow::Mask>,
) -> Link<flow::Conditioning> {
    draft
        .node(
            "ConditioningSetMask",
            [
                ("conditioning", conditioning.into()),
                ("mask", mask.into()),
                ("strength", 1.0.into()),
                ("set_cond_area", "default".into()),
            ],
        )
        .output(0)
}

fn combine(
    draft: &mut Draft,
    all: Link<flow::Conditioning>,
    next: Link<flow::Conditioning>,
) -> Link<flow::Conditioning> {
    draft
        .node(
            "ConditioningCombine",
            [("conditioning_1", all.into()), ("conditioning_2", next.into())],
        )
        .output(0)
}

/// Where LoRAs hang on prompts, ComfyUI wants both prompts of a region masked and combined together.
fn pair(draft: &mut Draft, all: Option<Encoded>, next: Encoded, mask: Link<flow::Mask>) -> Encoded {
    let inputs = [
        ("positive_NEW", next.positive.into()),
        ("negative_NEW", next.negative.into()),
        ("strength", 1.0.into()),
        ("set_cond_area", "default".into()),
        ("mask", mask.into()),
    ];
    let node = match all {
        None => draft.node("PairConditioningSetProperties", inputs),
        Some(all) => {
            let before = [("positive", all.positive.into()), ("negative", all.negative.into())];
            draft.node_with(
                "PairConditioningSetPropertiesAndCombine",
                before.into_iter().chain(inputs),
            )
        }
    };
    Encoded {
        positive: node.output(0),
        negative: node.output(1),
    }
}
