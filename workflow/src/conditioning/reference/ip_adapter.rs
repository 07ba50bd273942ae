//! References through IP-Adapter, which patches the model.

use super::{
    adapter::Files,
    shown::{Look, Reference},
};
use crate::{
    draft::{Draft, Link, NodeId, flow},
    sizing::Frame,
};

/// How many embeddings the combining node takes.
pub(super) const COMBINED: usize = 5;

/// Loaded.
pub(super) struct IpAdapter {
    adapter: Link<flow::IpAdapter>,
    clip_vision: Link<flow::ClipVision>,
}

impl IpAdapter {
    pub(super) fn load(draft: &mut Draft, files: &Files) -> Self {
        let clip_vision = files.load_clip_vision(draft);
        let file = draft.model_file(&files.adapter);
        let adapter = draft.node("IPAdapterModelLoader", [("ipadapter_file", file)]).output(0);
        Self { adapter, clip_vision }
    }

    pub(super) fn apply(
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
