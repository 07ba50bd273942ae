//! Loaders, model patches and conditioning.

use std::sync::Arc;

use super::call::Call;
use super::outcome::{Outcome, Trouble};
use super::stage::Stage;
use super::thing::Thing;
use crate::pixels::mask::Mask;
use crate::pixels::paint::fingerprint;
use crate::pixels::picture::Picture;

pub(crate) fn run(call: &Call<'_>, stage: &dyn Stage) -> Option<Outcome> {
    Some(match call.class {
        "CheckpointLoaderSimple" => {
            let name = call.text("ckpt_name");
            Ok(vec![
                Thing::Model(name.clone()),
                Thing::Named(name.clone()),
                Thing::Named(name),
            ])
        }
        "UNETLoader" => Ok(vec![Thing::Model(call.text("unet_name"))]),
        "VAELoader" | "ControlNetLoader" | "CLIPLoader" | "DualCLIPLoader" | "TripleCLIPLoader" => {
            Ok(vec![Thing::Named(call.settings())])
        }
        "UpscaleModelLoader" => Ok(vec![Thing::UpscaleModel(upscale_factor(&call.text("model_name")))]),
        "CLIPSetLastLayer" => call
            .named("clip")
            .map(|clip| vec![Thing::Named(format!("{clip} {}", call.settings()))]),
        "SetUnionControlNetType" => call
            .named("control_net")
            .map(|net| vec![Thing::Named(format!("{net} {}", call.settings()))]),
        "LoraLoader" => both(call),
        "LoraLoaderModelOnly"
        | "ModelSamplingDiscrete"
        | "ModelSamplingSD3"
        | "RescaleCFG"
        | "SelfAttentionGuidance"
        | "EasyCache"
        | "DifferentialDiffusion" => call
            .model("model")
            .map(|model| vec![Thing::Model(format!("{model} {}", call.settings()))]),
        "CLIPTextEncode" => call
            .named("clip")
            .map(|clip| vec![Thing::Words(format!("{} ({clip})", call.text("text")))]),
        "ConditioningZeroOut" => call.words("conditioning").map(|_| vec![Thing::Words(String::new())]),
        "FluxGuidance" | "ConditioningSetArea" | "ConditioningSetTimestepRange" => call
            .words("conditioning")
            .map(|words| vec![Thing::Words(format!("{words} {}", call.settings()))]),
        "ConditioningSetMask" => masked(call),
        "ConditioningCombine" => combined(call),
        "ControlNetApplyAdvanced" | "ControlNetInpaintingAliMamaApply" => controlled(call),
        "LoadImage" => load(call, stage).map(|picture| {
            // Where alpha is opaque, the mask is 0. Without alpha it is a small black square.
            let mask = picture
                .alpha_mask()
                .map_or_else(|| Mask::plain(64, 64, 0), |mask| mask.invert());
            vec![
                Thing::Pictures(vec![Arc::new(picture.without_alpha())]),
                Thing::Masks(vec![Arc::new(mask)]),
            ]
        }),
        "LoadImageMask" => load(call, stage).map(|picture| {
            let mask = match call.text("channel").as_str() {
                "green" => picture.channel(1),
                "blue" => picture.channel(2),
                "alpha" => picture
                    .alpha_mask()
                    .map_or_else(|| Mask::plain(64, 64, 0), |mask| mask.invert()),
                _ => picture.channel(0),
            };
            vec![Thing::Masks(vec![Arc::new(mask)])]
        }),
        _ => return None,
    })
}

fn both(call: &Call<'_>) -> Outcome {
    let settings = call.settings();
    Ok(vec![
        Thing::Model(format!("{} {settings}", call.model("model")?)),
        Thing::Named(format!("{} {settings}", call.named("clip")?)),
    ])
}

pub(super) fn masks_of(call: &Call<'_>, name: &str) -> Result<u64, Trouble> {
    let masks = call.masks(name)?;
    Ok(masks
        .iter()
        .map(|mask| fingerprint(&mask.data))
        .fold(0, u64::wrapping_add))
}

fn masked(call: &Call<'_>) -> Outcome {
    let mask = masks_of(call, "mask")?;
    let words = call.words("conditioning")?;
    Ok(vec![Thing::Words(format!("{words} {} {mask:x}", call.settings()))])
}

fn combined(call: &Call<'_>) -> Outcome {
    let (one, two) = (call.words("conditioning_1")?, call.words("conditioning_2")?);
    Ok(vec![Thing::Words(format!("{one} | {two}"))])
}

fn controlled(call: &Call<'_>) -> Outcome {
    let pictures = call.pictures("image")?;
    let hint = pictures
        .iter()
        .map(|picture| fingerprint(&picture.rgb))
        .fold(0, u64::wrapping_add);
    let mask = if call.has("mask") { masks_of(call, "mask")? } else { 0 };
    let control = format!("{} {} {hint:x} {mask:x}", call.named("control_net")?, call.settings());
    Ok(vec![
        Thing::Words(format!("{} {control}", call.words("positive")?)),
        Thing::Words(format!("{} {control}", call.words("negative")?)),
    ])
}

fn load(call: &Call<'_>, stage: &dyn Stage) -> Result<Picture, Trouble> {
    let name = call.text("image");
    if name.is_empty() {
        let text = "[Errno 21] Is a directory: '/opt/comfyui-data/input/'\n";
        return Err(Trouble::exception("IsADirectoryError", text));
    }
    let path = format!("/opt/comfyui-data/input/{name}");
    let Some(bytes) = stage.load(&name) else {
        let text = format!("[Errno 2] No such file or directory: '{path}'\n");
        return Err(Trouble::exception("FileNotFoundError", text));
    };
    Picture::decode(&bytes).ok_or_else(|| {
        Trouble::exception(
            "PIL.UnidentifiedImageError",
            format!("cannot identify image file '{path}'\n"),
        )
    })
}

/// The factor in a model's name, such as "4x_NMKD" or "OmniSR_X2"; 4 if there is none.
fn upscale_factor(name: &str) -> u32 {
    let name = name.to_ascii_lowercase();
    let found = [2, 3, 4, 8]
        .into_iter()
        .find(|factor| name.contains(&format!("{factor}x")) || name.contains(&format!("x{factor}")));
    found.unwrap_or(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upscale_factors_are_read_from_names() {
        assert_eq!(upscale_factor("4x_NMKD-Superscale.pth"), 4);
        assert_eq!(upscale_factor("OmniSR_X2_DIV2K.safetensors"), 2);
        assert_eq!(upscale_factor("HAT_SRx4.pth"), 4);
        assert_eq!(upscale_factor("other.pth"), 4);
    }
}
