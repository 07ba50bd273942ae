//! Noise, guiders, schedules and the samplers, which paint.

use std::collections::HashMap;
use std::sync::Arc;

use image::ImageFormat;
use image::imageops::FilterType;

use super::call::Call;
use super::outcome::{Outcome, Trouble};
use super::stage::Stage;
use super::thing::{Latent, Thing};
use crate::pixels::paint::{self, fingerprint};
use crate::pixels::picture::{Picture, encode};
use crate::prompt::object_info::{self, Kind};

/// The long side of previews.
const PREVIEW: u32 = 512;
/// So many different previews does a run show.
const CLEARNESS: u32 = 4;

pub(crate) fn run(call: &Call<'_>, stage: &mut dyn Stage) -> Option<Outcome> {
    Some(match call.class {
        "RandomNoise" => Ok(vec![Thing::Noise(call.seed("noise_seed"))]),
        "CFGGuider" => guider(call, "positive", Some("negative")),
        "BasicGuider" => guider(call, "conditioning", None),
        "KSamplerSelect" | "SamplerEulerCFGpp" => checked_choices(call).map(|()| vec![Thing::Named(call.settings())]),
        "BasicScheduler"
        | "AlignYourStepsScheduler"
        | "GITSScheduler"
        | "PolyexponentialScheduler"
        | "LaplaceScheduler" => checked_choices(call).map(|()| vec![schedule(call)]),
        "SplitSigmas" => split(call),
        "KSampler" => ksampler(call, stage),
        "KSamplerAdvanced" => ksampler_advanced(call, stage),
        "SamplerCustomAdvanced" => custom(call, stage),
        _ => return None,
    })
}

fn guider(call: &Call<'_>, positive: &str, negative: Option<&str>) -> Outcome {
    Ok(vec![Thing::Guider {
        model: format!("{} {}", call.model("model")?, call.settings()),
        positive: call.words(positive)?,
        negative: negative.map_or(Ok(String::new()), |name| call.words(name))?,
    }])
}

/// 0.3.75 does not validate choices declared as COMBO; a bad one fails when the node runs.
fn checked_choices(call: &Call<'_>) -> Result<(), Trouble> {
    for input in object_info::class(call.class)
        .into_iter()
        .flat_map(object_info::Class::inputs)
    {
        let Kind::Combo(choices) = input.kind() else {
            continue;
        };
        let chosen = call.text(input.name);
        if choices.iter().any(|choice| choice.as_str() == Some(&chosen)) {
            continue;
        }
        return Err(match input.name {
            "scheduler" => Trouble::exception("ValueError", format!("error invalid scheduler {chosen}\n")),
            "sampler_name" => Trouble::exception(
                "AttributeError",
                format!("module 'comfy.k_diffusion.sampling' has no attribute 'sample_{chosen}'\n"),
            ),
            _ => Trouble::exception("KeyError", format!("'{chosen}'\n")),
        });
    }
    Ok(())
}

fn schedule(call: &Call<'_>) -> Thing {
    let strength = if call.has("denoise") {
        call.float("denoise")
    } else {
        1.0
    };
    Thing::Sigmas {
        steps: if strength > 0.0 { call.size("steps") } else { 0 },
        strength,
    }
}

fn split(call: &Call<'_>) -> Outcome {
    let Some(Thing::Sigmas { steps, strength }) = call.thing("sigmas") else {
        return Err(Trouble::exception("TypeError", "'str' object is not sliceable"));
    };
    let at = call.size("step").min(*steps);
    let share = |part: u32| strength * part as f32 / (*steps).max(1) as f32;
    Ok(vec![
        Thing::Sigmas {
            steps: at,
            strength: share(at),
        },
        Thing::Sigmas {
            steps: steps - at,
            strength: share(steps - at),
        },
    ])
}

fn ksampler(call: &Call<'_>, stage: &mut dyn Stage) -> Outcome {
    let sampling = Sampling {
        identity: fingerprint((
            call.model("model")?,
            call.words("positive")?,
            call.words("negative")?,
            call.seed("seed"),
            call.text("sampler_name"),
            call.text("scheduler"),
            call.text("cfg"),
        )),
        steps: call.size("steps"),
        strength: call.float("denoise"),
    };
    let latent = sampling.run(call.latent("latent_image")?, stage)?;
    Ok(vec![Thing::Latent(latent)])
}

fn ksampler_advanced(call: &Call<'_>, stage: &mut dyn Stage) -> Outcome {
    let total = call.size("steps");
    let end = call.size("end_at_step").min(total);
    let steps = end.saturating_sub(call.size("start_at_step"));
    let sampling = Sampling {
        identity: fingerprint((
            call.model("model")?,
            call.words("positive")?,
            call.words("negative")?,
            call.seed("noise_seed"),
            call.text("sampler_name"),
            call.text("scheduler"),
            call.text("cfg"),
        )),
        steps,
        strength: steps as f32 / total.max(1) as f32,
    };
    let latent = sampling.run(call.latent("latent_image")?, stage)?;
    Ok(vec![Thing::Latent(latent)])
}

fn custom(call: &Call<'_>, stage: &mut dyn Stage) -> Outcome {
    let (
        Some(Thing::Noise(seed)),
        Some(Thing::Guider {
            model,
            positive,
            negative,
        }),
        Some(Thing::Sigmas { steps, strength }),
    ) = (call.thing("noise"), call.thing("guider"), call.thing("sigmas"))
    else {
        let text = "'str' object has no attribute 'generate_noise'\n";
        return Err(Trouble::exception("AttributeError", text));
    };
    let sampling = Sampling {
        identity: fingerprint((model, positive, negative, seed, call.named("sampler")?)),
        steps: *steps,
        strength: *strength,
    };
    let latent = sampling.run(call.latent("latent_image")?, stage)?;
    Ok(vec![Thing::Latent(latent.clone()), Thing::Latent(latent)])
}

/// One use of a sampler.
struct Sampling {
    /// Stands for all that decides the picture, apart from its size and input.
    identity: u64,
    steps: u32,
    /// How much of the input is replaced.
    strength: f32,
}

impl Sampling {
    fn run(&self, mut latent: Latent, stage: &mut dyn Stage) -> Result<Latent, Trouble> {
        if self.steps == 0 {
            return Ok(latent);
        }
        let first = self.paint(&latent, 0);
        let small = thumbnail(&first);
        let mut coded = HashMap::new();
        for step in 1..=self.steps {
            // Coding takes longer than all else here: steps share a few stages of clearness.
            let stage_of = step * CLEARNESS / self.steps;
            stage.step(step, self.steps, &mut || {
                let preview = || preview(&small, stage_of * 256 / CLEARNESS, self.identity);
                coded.entry(stage_of).or_insert_with(preview).clone()
            })?;
        }
        let mut painted = vec![Arc::new(first)];
        painted.extend((1..latent.batch).map(|index| Arc::new(self.paint(&latent, index))));
        latent.pictures = painted;
        latent.mask = None;
        Ok(latent)
    }

    fn paint(&self, latent: &Latent, index: u32) -> Picture {
        let identity = fingerprint((self.identity, index));
        let fresh = paint::paint(identity, latent.width, latent.height);
        let Some(source) = latent.pictures.get(index as usize).or_else(|| latent.pictures.first()) else {
            return fresh;
        };
        let mut picture = Picture::clone(source);
        let mask = latent
            .mask
            .as_ref()
            .map(|mask| mask.resize(latent.width, latent.height));
        // Without a mask, full strength still shows a trace of the input, so that one sees what went in.
        let share = (self.strength.clamp(0.0, 1.0) * 256.0) as u32;
        let share = if mask.is_some() { share } else { share.min(230) };
        picture.mix(&fresh, share, mask.as_ref());
        if mask.is_none() {
            paint::draw_banner(&mut picture);
        }
        picture
    }
}

/// The picture as small as a latent.
fn thumbnail(picture: &Picture) -> Picture {
    let (width, height) = ((picture.width / 8).clamp(1, 128), (picture.height / 8).clamp(1, 128));
    picture.resize(width, height, FilterType::Triangle)
}

/// What a sampler shows of a step: noise that clears up, enlarged.
fn preview(small: &Picture, clear: u32, identity: u64) -> Vec<u8> {
    let mut noisy = small.clone();
    let mut state = identity | 1;
    for value in &mut noisy.rgb {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let noise = (state >> 56) as u32;
        *value = ((u32::from(*value) * clear + noise * (256 - clear)) >> 8) as u8;
    }
    let long = small.width.max(small.height);
    let (width, height) = (small.width * PREVIEW / long, small.height * PREVIEW / long);
    let enlarged = noisy.resize(width.max(1), height.max(1), FilterType::Triangle);
    encode(&enlarged.to_image(), ImageFormat::Jpeg)
}
