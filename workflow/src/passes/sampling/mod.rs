//! The sampler block: from noise or a picture to a latent.

use crate::{
    check::{Extent, number, real},
    conditioning::Encoded,
    draft::{Draft, Link, flow},
    models::{Family, Guidance, Loaded},
    refusal::{Refusal, quote},
    wire::{self, Arch},
};
use serde_json::Value;

mod names;
use names::{SAMPLERS, SCHEDULERS};

const MAX_STEPS: i64 = 1_000;
/// ComfyUI's own limit.
const CFG_SCALES: std::ops::RangeInclusive<f64> = 0.0..=100.0;
/// What Flux was made for.
const BUILT_IN_GUIDANCE: f64 = 3.5;
/// What the variant of Flux that fills selections was made for.
const FILLING_GUIDANCE: f64 = 30.0;
/// ComfyUI's own limit for this scheduler.
const GITS_MIN_STEPS: u32 = 2;

/// Checked sampler settings.
#[derive(Debug)]
pub(crate) struct Sampling {
    sampler: Sampler,
    scheduler: Scheduler,
    cfg_scale: f64,
    distilled: bool,
    /// 1 to 1000.
    total_steps: u32,
    /// Less than `total_steps`.
    start_step: u32,
    seed: u64,
}

#[derive(Debug)]
enum Sampler {
    Named(&'static str),
    /// A node of its own; not the same as the sampler named `euler_cfg_pp`.
    EulerCfgPp,
}

#[derive(Debug)]
enum Scheduler {
    Basic(&'static str),
    /// With the name that the node has for the family of models.
    AlignYourSteps(&'static str),
    Gits,
    Polyexponential,
    Laplace,
}

impl Sampling {
    /// Euler with one step from pure noise, without guidance.
    pub(crate) fn single_step(seed: u64) -> Self {
        Self {
            sampler: Sampler::Named("euler"),
            scheduler: Scheduler::Basic("normal"),
            cfg_scale: 1.0,
            distilled: false,
            total_steps: 1,
            start_step: 0,
            seed,
        }
    }

    pub(crate) fn parse(wire: &wire::Sampling, arch: &Arch) -> Result<Self, Refusal> {
        let sampler = Sampler::parse(&wire.sampler)?;
        let scheduler = Scheduler::parse(&wire.scheduler, arch)?;
        let total_steps = number("number of steps", wire.total_steps, 1..=MAX_STEPS)?;
        // Flux has its guidance built in and no use for a negative prompt.
        let distilled = Family::parse(arch)? == Family::Flux;
        // The plugin cuts the number of steps after it has computed the first: at least one is left.
        let last = i64::from(total_steps) - 1;
        let start_step = number("first step", wire.start_step.min(last), 0..=last)?;
        if matches!(scheduler, Scheduler::Gits) && total_steps < GITS_MIN_STEPS {
            return Err(Refusal::new(
                "the scheduler gits needs at least 2 steps. Raise the steps in the style settings.",
            ));
        }
        Ok(Self {
            sampler,
            scheduler,
            cfg_scale: real("guidance strength (cfg)", wire.cfg_scale, CFG_SCALES)?,
            distilled,
            total_steps,
            start_step,
            // A queue of the plugin's adds to a seed, beyond 32 bits too; ComfyUI takes 64.
            seed: u64::try_from(wire.seed).map_err(|_| Refusal::new("the seed is negative."))?,
        })
    }

    /// At a guidance of 1 and below the negative prompt has no effect, and is not worth encoding.
    pub(crate) fn uses_negative(&self) -> bool {
        self.cfg_scale > 1.0 && !self.distilled
    }

    pub(crate) fn total_steps(&self) -> u32 {
        self.total_steps
    }

    pub(crate) fn start_step(&self) -> u32 {
        self.start_step
    }
}

impl Sampler {
    fn parse(name: &str) -> Result<Self, Refusal> {
        if name == "euler_cfgpp" {
            return Ok(Self::EulerCfgPp);
        }
        listed(&SAMPLERS, name)
            .map(Self::Named)
            .ok_or_else(|| not_here("sampler", name))
    }

    fn node(&self, draft: &mut Draft) -> Link<flow::Sampler> {
        match *self {
            Self::Named(name) => draft.node("KSamplerSelect", [("sampler_name", name.into())]),
            Self::EulerCfgPp => draft.node("SamplerEulerCFGpp", [("version", "regular".into())]),
        }
        .output(0)
    }
}

impl Scheduler {
    fn parse(name: &str, arch: &Arch) -> Result<Self, Refusal> {
        Ok(match name {
            "align_your_steps" | "ays" => Self::AlignYourSteps(match Family::parse(arch)? {
                Family::Sd15 => "SD1",
                Family::Sdxl => "SDXL",
                Family::Flux => {
                    return Err(Refusal::new(
                        "the scheduler align_your_steps is not made for flux. Choose another in the style settings.",
                    ));
                }
            }),
            "gits" => Self::Gits,
            "polyexponential" | "poly_exponential" => Self::Polyexponential,
            "laplace" => Self::Laplace,
            name => Self::Basic(listed(&SCHEDULERS, name).ok_or_else(|| not_here("scheduler", name))?),
        })
    }

    fn node(&self, draft: &mut Draft, model: Link<flow::Model>, steps: u32) -> Link<flow::Sigmas> {
        let steps = ("steps", Value::from(steps));
        let denoise = ("denoise", Value::from(1.0));
        // ComfyUI's defaults, which are the noise range of Stable Diffusion.
        let max = ("sigma_max", Value::from(14.614_642));
        let min = ("sigma_min", Value::from(0.029_167_5));
        match *self {
            Self::Basic(name) => draft.node(
                "BasicScheduler",
                [("model", model.into()), ("scheduler", name.into()), steps, denoise],
            ),
            Self::AlignYourSteps(family) => draft.node(
                "AlignYourStepsScheduler",
                [("model_type", family.into()), steps, denoise],
            ),
            Self::Gits => draft.node("GITSScheduler", [("coeff", 1.2.into()), steps, denoise]),
            Self::Polyexponential => draft.node("PolyexponentialScheduler", [steps, max, min, ("rho", 1.0.into())]),
            Self::Laplace => draft.node(
                "LaplaceScheduler",
                [steps, max, min, ("mu", 0.0.into()), ("beta", 0.5.into())],
            ),
        }
        .output(0)
    }
}

fn listed(names: &[&'static str], name: &str) -> Option<&'static str> {
    names.iter().find(|known| **known == name).copied()
}

fn not_here(what: &str, name: &str) -> Refusal {
    Refusal::new(format!(
        "the {what} {} is not on this server. Choose another in the style settings.",
        quote(name)
    ))
}

/// Runs the schedule from `start` on; `extent` is what `latent` holds.
pub(crate) fn sample(
    draft: &mut Draft,
    loaded: &Loaded,
    prompts: Encoded,
    sampling: &Sampling,
    start: u32,
    latent: Link<flow::Latent>,
    extent: Extent,
) -> Link<flow::Latent> {
    let guider = guide(draft, loaded, prompts, sampling.cfg_scale);
    let mut sigmas = sampling.scheduler.node(draft, loaded.model, sampling.total_steps);
    if start > 0 {
        sigmas = draft
            .node("SplitSigmas", [("sigmas", sigmas.into()), ("step", start.into())])
            .output(1);
    }
    let noise: Link<flow::Noise> = draft
        .node("RandomNoise", [("noise_seed", sampling.seed.into())])
        .output(0);
    let sampler = sampling.sampler.node(draft);
    draft.pass(sampling.total_steps.saturating_sub(start), extent);
    draft
        .node(
            "SamplerCustomAdvanced",
            [
                ("noise", noise.into()),
                ("guider", guider.into()),
                ("sampler", sampler.into()),
                ("sigmas", sigmas.into()),
                ("latent_image", latent.into()),
            ],
        )
        // The second output is without the noise that some schedules leave over.
        .output(1)
}

fn guide(draft: &mut Draft, loaded: &Loaded, prompts: Encoded, cfg_scale: f64) -> Link<flow::Guider> {
    #[allow(clippy::float_cmp, reason = "the protocol's meaning of exactly 1")]
    let unguided = cfg_scale == 1.0;
    let built_in = loaded.guidance.map(|guidance| match guidance {
        Guidance::Asked if cfg_scale > 1.0 => cfg_scale,
        Guidance::Asked => BUILT_IN_GUIDANCE,
        Guidance::Filling => FILLING_GUIDANCE,
    });
    if unguided || built_in.is_some() {
        let positive = built_in.map_or(prompts.positive, |guidance| {
            let inputs = [("conditioning", prompts.positive.into()), ("guidance", guidance.into())];
            draft.node("FluxGuidance", inputs).output(0)
        });
        draft.node(
            "BasicGuider",
            [("model", loaded.model.into()), ("conditioning", positive.into())],
        )
    } else {
        draft.node(
            "CFGGuider",
            [
                ("model", loaded.model.into()),
                ("positive", prompts.positive.into()),
                ("negative", prompts.negative.into()),
                ("cfg", cfg_scale.into()),
            ],
        )
    }
    .output(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_prompt_needs_guidance() {
        let asked = |cfg_scale: f64, distilled: bool| {
            let sampling = Sampling {
                cfg_scale,
                distilled,
                ..Sampling::single_step(1)
            };
            sampling.uses_negative()
        };
        assert!(asked(7.0, false));
        assert!(!asked(1.0, false));
        assert!(!asked(7.0, true));
    }
}
