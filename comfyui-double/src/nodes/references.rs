//! Pictures that a model is shown: CLIP's vision, ComfyUI's style models, and the pack ComfyUI_IPAdapter_plus.

use super::call::Call;
use super::loaders::masks_of;
use super::outcome::{Outcome, Trouble};
use super::thing::Thing;
use crate::pixels::paint::fingerprint;

pub(crate) fn run(call: &Call<'_>) -> Option<Outcome> {
    Some(match call.class {
        "CLIPVisionLoader" | "StyleModelLoader" | "IPAdapterModelLoader" => Ok(vec![Thing::Named(call.settings())]),
        "CLIPVisionEncode" => seen(call, "clip_vision").map(|seen| vec![Thing::Named(seen)]),
        "StyleModelApply" => styled(call),
        "IPAdapterEncoder" => seen(call, "ipadapter").map(|seen| {
            let negative = format!("not {seen}");
            vec![Thing::Named(seen), Thing::Named(negative)]
        }),
        "IPAdapterCombineEmbeds" => combined(call),
        "IPAdapterEmbeds" => adapted(call),
        _ => return None,
    })
}

fn seen(call: &Call<'_>, by: &str) -> Result<String, Trouble> {
    let pictures = call.pictures("image")?;
    let pictures = pictures.iter().map(|picture| fingerprint(&picture.rgb));
    let sum = pictures.fold(0, u64::wrapping_add);
    Ok(format!("{} {} {sum:x}", call.named(by)?, call.settings()))
}

fn styled(call: &Call<'_>) -> Outcome {
    let (words, style) = (call.words("conditioning")?, call.named("style_model")?);
    let seen = call.named("clip_vision_output")?;
    Ok(vec![Thing::Words(format!(
        "{words} {style} {seen} {}",
        call.settings()
    ))])
}

fn combined(call: &Call<'_>) -> Outcome {
    let mut all = call.named("embed1")?;
    for name in ["embed2", "embed3", "embed4", "embed5"] {
        if call.has(name) {
            all = format!("{all} + {}", call.named(name)?);
        }
    }
    Ok(vec![Thing::Named(format!("{all} {}", call.settings()))])
}

fn adapted(call: &Call<'_>) -> Outcome {
    let mask = if call.has("attn_mask") {
        masks_of(call, "attn_mask")?
    } else {
        0
    };
    let (model, embeds) = (call.model("model")?, call.named("pos_embed")?);
    Ok(vec![Thing::Model(format!(
        "{model} {embeds} {} {mask:x}",
        call.settings()
    ))])
}
