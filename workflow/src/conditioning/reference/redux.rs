//! References through Redux, which appends them to the prompt of Flux.

use super::{adapter::Files, shown::Reference};
use crate::{
    draft::{Draft, Link, flow},
    sizing::Frame,
};

/// The prompt with pictures appended to it, each in its own part of the schedule.
pub(super) fn redux(
    draft: &mut Draft,
    files: &Files,
    all: &[Reference],
    prompt: Link<flow::Conditioning>,
    frame: &Frame<'_>,
) -> Link<flow::Conditioning> {
    let clip_vision = files.load_clip_vision(draft);
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
