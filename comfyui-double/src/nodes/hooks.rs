//! LoRAs that hang on prompts, and pairs of prompts.

use super::call::Call;
use super::loaders::masks_of;
use super::outcome::{Outcome, Trouble};
use super::thing::Thing;

pub(crate) fn run(call: &Call<'_>) -> Option<Outcome> {
    Some(match call.class {
        "CreateHookLora" => created(call),
        "SetClipHooks" => hooked(call),
        "PairConditioningSetProperties" => pair(call).map(Vec::from),
        "PairConditioningSetPropertiesAndCombine" => combined(call),
        _ => return None,
    })
}

fn created(call: &Call<'_>) -> Outcome {
    let before = if call.has("prev_hooks") {
        call.named("prev_hooks")?
    } else {
        String::new()
    };
    Ok(vec![Thing::Named(format!("{before} {}", call.settings()))])
}

fn hooked(call: &Call<'_>) -> Outcome {
    let hooks = if call.has("hooks") {
        call.named("hooks")?
    } else {
        String::new()
    };
    Ok(vec![Thing::Named(format!("{} {hooks}", call.named("clip")?))])
}

fn pair(call: &Call<'_>) -> Result<[Thing; 2], Trouble> {
    let mask = if call.has("mask") { masks_of(call, "mask")? } else { 0 };
    let words = |name: &str| -> Result<Thing, Trouble> {
        Ok(Thing::Words(format!(
            "{} {} {mask:x}",
            call.words(name)?,
            call.settings()
        )))
    };
    Ok([words("positive_NEW")?, words("negative_NEW")?])
}

fn combined(call: &Call<'_>) -> Outcome {
    let mut all = vec![];
    for (name, new) in ["positive", "negative"].into_iter().zip(pair(call)?) {
        let Thing::Words(new) = new else { continue };
        all.push(Thing::Words(format!("{} | {new}", call.words(name)?)));
    }
    Ok(all)
}
