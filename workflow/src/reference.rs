//! Reference pictures, which show the model what to look like: through IP-Adapter or, for Flux, through Redux.

use crate::{
    catalog::Catalog,
    check::{ImageIndex, StoredImages, real},
    draft::{Draft, Picture},
    frame::Frame,
    graph::{Link, NodeId, flow},
    input::{self, Arch, ControlMode},
    models::{Family, Loaded},
    prompt::{Encoded, Prompts},
    recipe::Colour,
    refusal::{Refusal, missing},
    scale::{Extent, Extents, Rect},
};

/// Beyond this an adapter's picture drowns the prompt; also the limit of its nodes.
const STRENGTHS: std::ops::RangeInclusive<f64> = 0.0..=3.0;
/// Of one request. Each is encoded by a large vision model.
const MAX_REFERENCES: usize = 16;
/// What CLIP's vision model looks at: the plugin sends references in this size, or in a size of the canvas.
const SEEN: Extent = Extent::new(224, 224);
/// How many embeddings the combining node takes.
const COMBINED: usize = 5;
/// A canvas that lends its surroundings as reference does so at this strength, in this part of the schedule.
const SURROUNDINGS: (f64, [f64; 2]) = (0.5, [0.2, 0.8]);

/// The nodes of IP-Adapter.
const NODES: [&str; 4] = [
    "IPAdapterModelLoader",
    "IPAdapterEncoder",
    "IPAdapterCombineEmbeds",
    "IPAdapterEmbeds",
];

/// What makes a model look at pictures.
#[derive(Debug, Clone)]
enum Adapter {
    /// For the attention of Stable Diffusion.
    IpAdapter(Files),
    /// For the prompt of Flux.
    Redux(Files),
}

#[derive(Debug, Clone)]
struct Files {
    adapter: String,
    clip_vision: String,
}

/// What of a picture counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Everything,
    Style,
    Composition,
}

#[derive(Debug, Clone, Copy)]
enum Shown {
    Sent(ImageIndex),
    Ready(Picture),
}

#[derive(Debug, Clone)]
struct Reference {
    shown: Shown,
    look: Look,
    /// Where it counts; none for everywhere.
    region: Option<usize>,
    strength: f64,
    range: [f64; 2],
}

/// The checked reference pictures of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct References {
    /// None where there is none, and then there are no references either.
    adapter: Option<Adapter>,
    all: Vec<Reference>,
}

/// Whether a control layer of this kind is a reference picture.
pub(crate) fn is_reference(mode: &ControlMode) -> bool {
    use ControlMode::{Composition, Face, Reference, Style};
    matches!(mode, Reference | Style | Composition | Face)
}

/// Whether reference pictures can be used with this kind of model.
pub(crate) fn is_there(arch: &Arch, catalog: &Catalog) -> bool {
    Adapter::find(&ControlMode::Reference, arch, catalog).is_ok()
}

impl References {
    /// `controls` with the place of their region, where there are several.
    pub(crate) fn parse<'a>(
        controls: impl Iterator<Item = (Option<usize>, &'a input::Control)>,
        arch: &Arch,
        catalog: &Catalog,
        stored: StoredImages,
    ) -> Result<Self, Refusal> {
        let parse = |(region, wire): (Option<usize>, &input::Control)| {
            Adapter::find(&wire.mode, arch, catalog)?;
            let image = stored.optional("reference picture", wire.image)?;
            let [start, end] = wire.range;
            Ok(Reference {
                shown: Shown::Sent(image.ok_or_else(|| missing("picture for a reference layer"))?),
                look: match wire.mode {
                    ControlMode::Style => Look::Style,
                    ControlMode::Composition => Look::Composition,
                    _ => Look::Everything,
                },
                region,
                strength: real("reference strength", wire.strength, STRENGTHS)?,
                range: [
                    real("start of the reference range", start, 0.0..=1.0)?,
                    real("end of the reference range", end, 0.0..=1.0)?,
                ],
            })
        };
        let all = controls.map(parse).collect::<Result<Vec<_>, Refusal>>()?;
        if all.len() > MAX_REFERENCES {
            return Err(Refusal::new(format!(
                "{} reference layers are too many, the limit is {MAX_REFERENCES}. Remove some.",
                all.len()
            )));
        }
        Ok(Self {
            adapter: Adapter::find(&ControlMode::Reference, arch, catalog).ok(),
            all,
        })
    }

    /// With the canvas around a selection as one more reference, where that is possible. A selection that spans the
    /// canvas from edge to edge leaves only the rest of it to look at.
    pub(crate) fn with_surroundings(
        &self,
        draft: &mut Draft,
        canvas: Picture,
        extents: &Extents,
        bounds: Rect,
    ) -> Self {
        let mut with = self.clone();
        if self.adapter.is_some() {
            let rest = rest(bounds.convert(extents.target, extents.initial), extents.initial);
            let shown = draft.derive(canvas, rest.map(Rect::crop).into_iter().collect::<Vec<_>>());
            let (strength, range) = SURROUNDINGS;
            with.all.push(Reference {
                shown: Shown::Ready(shown),
                look: Look::Everything,
                region: None,
                strength,
                range,
            });
        }
        with
    }

    /// Has model and prompt look at the pictures.
    pub(crate) fn apply(
        &self,
        draft: &mut Draft,
        loaded: &Loaded,
        encoded: Encoded,
        prompts: &Prompts,
        frame: &Frame<'_>,
    ) -> (Loaded, Encoded) {
        let mut loaded = *loaded;
        match &self.adapter {
            Some(_) | None if self.all.is_empty() => (loaded, encoded),
            Some(Adapter::IpAdapter(files)) => {
                let adapter = IpAdapter::load(draft, files);
                for group in self.groups() {
                    let mask = group[0].region.map(|region| prompts.region_mask(draft, region, frame));
                    loaded.model = adapter.apply(draft, loaded.model, &group, mask, frame);
                }
                (loaded, encoded)
            }
            Some(Adapter::Redux(files)) => {
                let positive = redux(draft, files, &self.all, encoded.positive, frame);
                // Flux has no use for a negative prompt.
                let negative = positive;
                (loaded, Encoded { positive, negative })
            }
            None => (loaded, encoded),
        }
    }

    /// References that act alike, as many as can act together.
    fn groups(&self) -> Vec<Vec<&Reference>> {
        let mut groups: Vec<Vec<&Reference>> = vec![];
        for reference in &self.all {
            let alike = |group: &&mut Vec<&Reference>| {
                group[0].look == reference.look && group[0].region == reference.region && group.len() < COMBINED
            };
            match groups.iter_mut().find(alike) {
                Some(group) => group.push(reference),
                None => groups.push(vec![reference]),
            }
        }
        groups
    }
}

impl Adapter {
    fn find(mode: &ControlMode, arch: &Arch, catalog: &Catalog) -> Result<Self, Refusal> {
        use ControlMode::{Composition, Face, Style};
        let family = Family::parse(arch)?;
        match (mode, family) {
            (Face, _) => {
                return Err(Refusal::new(
                    "face layers are not available on this server: it has no face recognition. Remove the layer.",
                ));
            }
            (Style | Composition, Family::Flux) => {
                return Err(Refusal::new(format!(
                    "a {mode} layer works with SD1.5 and SDXL models only. Use a reference layer, or another model."
                )));
            }
            _ => {}
        }
        let file = |kind: &str, identifier: &str| {
            catalog.resource(kind, identifier, arch).map(str::to_owned).ok_or_else(|| {
                Refusal::new(format!(
                    "a {mode} layer needs {kind}-{identifier}-{arch}, which is not on this server. Remove the layer."
                ))
            })
        };
        let vision = if family == Family::Flux { "redux" } else { "ip_adapter" };
        let files = Files {
            adapter: file("ip_adapter", "reference")?,
            clip_vision: file("clip_vision", vision)?,
        };
        if family == Family::Flux {
            return Ok(Self::Redux(files));
        }
        catalog.need_nodes(&format!("a {mode} layer"), &NODES)?;
        Ok(Self::IpAdapter(files))
    }
}

/// What a selection that spans the canvas leaves over, if that is worth looking at.
fn rest(bounds: Rect, canvas: Extent) -> Option<Rect> {
    const CELL: u32 = 8;
    // Start and end of the rest of an axis, of which the selection touches one end.
    let axis = |start: u32, length: u32, side: u32| {
        let from = start / CELL * CELL;
        let to = (start + length).next_multiple_of(CELL).min(side);
        match (from, to) {
            (0, to) => Some((to, side)),
            (from, to) if to == side => Some((0, from)),
            _ => None,
        }
        .filter(|(from, to)| to.saturating_sub(*from) > SEEN.width())
    };
    let spans = |start: u32, length: u32, side: u32| start < CELL && start + length + CELL > side;
    let ([x, y, width, height], [canvas_width, canvas_height]) = (bounds.array(), canvas.sides());
    if spans(y, height, canvas_height) {
        let (from, to) = axis(x, width, canvas_width)?;
        return Some(Rect {
            x: from,
            y: 0,
            extent: Extent::new(to - from, canvas_height),
        });
    }
    if spans(x, width, canvas_width) {
        let (from, to) = axis(y, height, canvas_height)?;
        return Some(Rect {
            x: 0,
            y: from,
            extent: Extent::new(canvas_width, to - from),
        });
    }
    None
}

impl Reference {
    fn load(&self, draft: &mut Draft, frame: &Frame<'_>) -> Link<flow::Image> {
        let picture = match self.shown {
            Shown::Ready(picture) => picture,
            Shown::Sent(image) => {
                let extents = frame.extents;
                let others = [SEEN, extents.desired, extents.input, extents.initial];
                draft.picture(image, (extents.target, &others), Colour::BLACK, [])
            }
        };
        draft.load_image(picture)
    }
}

fn load_clip_vision(draft: &mut Draft, files: &Files) -> Link<flow::ClipVision> {
    let file = draft.model_file(&files.clip_vision);
    draft.node("CLIPVisionLoader", [("clip_name", file)]).output(0)
}

/// Loaded.
struct IpAdapter {
    adapter: Link<flow::IpAdapter>,
    clip_vision: Link<flow::ClipVision>,
}

impl IpAdapter {
    fn load(draft: &mut Draft, files: &Files) -> Self {
        let clip_vision = load_clip_vision(draft, files);
        let file = draft.model_file(&files.adapter);
        let adapter = draft.node("IPAdapterModelLoader", [("ipadapter_file", file)]).output(0);
        Self { adapter, clip_vision }
    }

    fn apply(
        &self,
        draft: &mut Draft,
        model: Link<flow::Model>,
        group: &[&Reference],
        mask: Option<Link<flow::Mask>>,
        frame: &Frame<'_>,
    ) -> Link<flow::Model> {
        let mut encoded = vec![];
        for reference in group {
            let image = reference.load(draft, frame);
            encoded.push(draft.node(
                "IPAdapterEncoder",
                [
                    ("ipadapter", self.adapter.into()),
                    ("image", image.into()),
                    ("weight", reference.strength.into()),
                    ("clip_vision", self.clip_vision.into()),
                ],
            ));
        }
        let positive = combine(draft, &encoded, 0);
        let negative = combine(draft, &encoded, 1);
        // All of a group act in one range.
        let start = group.iter().map(|one| one.range[0]).fold(1.0, f64::min);
        let end = group.iter().map(|one| one.range[1]).fold(0.0, f64::max);
        let weight_type = match group[0].look {
            Look::Everything => "linear",
            Look::Style => "style transfer",
            Look::Composition => "composition",
        };
        let inputs = [
            ("model", model.into()),
            ("ipadapter", self.adapter.into()),
            ("pos_embed", positive.into()),
            ("neg_embed", negative.into()),
            ("weight", 1.0.into()),
            ("weight_type", weight_type.into()),
            ("start_at", start.into()),
            ("end_at", end.into()),
            ("embeds_scaling", "V only".into()),
            ("clip_vision", self.clip_vision.into()),
        ];
        let mask = mask.map(|mask| ("attn_mask", mask.into()));
        draft
            .node_with("IPAdapterEmbeds", inputs.into_iter().chain(mask))
            .output(0)
    }
}

/// One embedding of several.
fn combine(draft: &mut Draft, encoded: &[NodeId], output: usize) -> Link<flow::Embeds> {
    const PLACES: [&str; COMBINED] = ["embed1", "embed2", "embed3", "embed4", "embed5"];
    if let [only] = encoded {
        return only.output(output);
    }
    let embeds = PLACES
        .into_iter()
        .zip(encoded)
        .map(|(place, node)| (place, node.output::<flow::Embeds>(output).into()));
    draft
        .node_with("IPAdapterCombineEmbeds", embeds.chain([("method", "concat".into())]))
        .output(0)
}

/// The prompt with pictures appended to it, each in its own part of the schedule.
fn redux(
    draft: &mut Draft,
    files: &Files,
    all: &[Reference],
    prompt: Link<flow::Conditioning>,
    frame: &Frame<'_>,
) -> Link<flow::Conditioning> {
    let clip_vision = load_clip_vision(draft, files);
    let file = draft.model_file(&files.adapter);
    let style: Link<flow::StyleModel> = draft.node("StyleModelLoader", [("style_model_name", file)]).output(0);
    let mut seen = vec![];
    for reference in all {
        let image = reference.load(draft, frame);
        let inputs = [
            ("clip_vision", clip_vision.into()),
            ("image", image.into()),
            ("crop", "center".into()),
        ];
        let output: Link<flow::ClipVisionOutput> = draft.node("CLIPVisionEncode", inputs).output(0);
        seen.push((reference, output));
    }
    let mut bounds: Vec<f64> = all.iter().flat_map(|one| one.range).chain([0.0, 1.0]).collect();
    bounds.sort_by(f64::total_cmp);
    bounds.dedup();
    let mut whole: Option<Link<flow::Conditioning>> = None;
    for part in bounds.windows(2) {
        let (start, end) = (part[0], part[1]);
        let acts = |one: &Reference| one.range[0] <= start && end <= one.range[1];
        let mut styled = prompt;
        for (reference, output) in seen.iter().filter(|(one, _)| acts(one)) {
            let inputs = [
                ("conditioning", styled.into()),
                ("style_model", style.into()),
                ("clip_vision_output", (*output).into()),
                ("strength", reference.strength.into()),
                ("strength_type", "multiply".into()),
            ];
            styled = draft.node("StyleModelApply", inputs).output(0);
        }
        if bounds.len() == 2 {
            return styled;
        }
        let inputs = [
            ("conditioning", styled.into()),
            ("start", start.into()),
            ("end", end.into()),
        ];
        let limited = draft.node("ConditioningSetTimestepRange", inputs).output(0);
        whole = Some(match whole {
            None => limited,
            Some(before) => draft
                .node(
                    "ConditioningCombine",
                    [("conditioning_1", before.into()), ("conditioning_2", limited.into())],
                )
                .output(0),
        });
    }
    whole.unwrap_or(prompt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spanning_selection_leaves_over() {
        let canvas = Extent::new(768, 512);
        let rect = |[x, y, width, height]: [u32; 4]| Rect {
            x,
            y,
            extent: Extent::new(width, height),
        };
        for (bounds, left) in [
            // From the left, from the right, with a corner that is no multiple of 8.
            ([0, 0, 256, 512], Some([256, 0, 512, 512])),
            ([400, 0, 368, 512], Some([0, 0, 400, 512])),
            ([0, 3, 250, 507], Some([256, 0, 512, 512])),
            // From above and below.
            ([0, 0, 768, 200], Some([0, 200, 768, 312])),
            ([0, 300, 768, 212], Some([0, 0, 768, 296])),
            // Too little is left, nothing is, and it does not span.
            ([0, 0, 560, 512], None),
            ([0, 0, 768, 512], None),
            ([100, 100, 200, 200], None),
            ([300, 0, 100, 512], None),
        ] {
            assert_eq!(rest(rect(bounds), canvas).map(Rect::array), left, "{bounds:?}");
        }
    }
}
