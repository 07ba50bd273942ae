use model::{LoraStrength, Parameters};
use workflow::{Kind, Sampling, WorkflowInput};

/// What a request asks for, once it was compiled: every number is within its limits by then, and what the kind of picture has
/// no use for is left out, since nobody has looked at that.
pub fn parameters(input: &WorkflowInput) -> Parameters {
    let side = |side: i64| u32::try_from(side).unwrap_or(0);
    let [width, height] = input.images.as_ref().map_or([0, 0], |it| it.extent.target);
    let mut parameters = Parameters {
        kind: input.kind.to_string(),
        width: side(width),
        height: side(height),
        count: 1,
        ..Parameters::default()
    };
    match input.kind {
        Kind::ControlImage => parameters.control = vec![input.control_mode.to_string()],
        Kind::UpscaleSimple => parameters.upscaler = upscaler(input),
        _ => {
            diffusion(input, &mut parameters);
            if input.kind == Kind::UpscaleTiled {
                parameters.upscaler = upscaler(input);
            } else {
                parameters.count = u32::try_from(input.batch_count).unwrap_or(1);
            }
        }
    }
    parameters
}

fn upscaler(input: &WorkflowInput) -> String {
    input.upscale.as_ref().map_or_else(String::new, |it| it.model.clone())
}

fn diffusion(input: &WorkflowInput, parameters: &mut Parameters) {
    let regions = input.conditioning.as_ref().map_or(&[][..], |it| &it.regions);
    if let Some(models) = &input.models {
        let loras = models.loras.iter().chain(regions.iter().flat_map(|it| &it.loras));
        let lora = |lora: &workflow::Lora| LoraStrength {
            name: lora.name.clone(),
            strength: lora.strength,
        };
        parameters.checkpoint.clone_from(&models.checkpoint);
        parameters.loras = loras.map(lora).collect();
    }
    if let Some(prompts) = &input.conditioning {
        let control = prompts.control.iter().chain(regions.iter().flat_map(|it| &it.control));
        parameters.control = control.map(|it| it.mode.to_string()).collect();
        parameters.prompt.clone_from(&prompts.positive);
        parameters.negative_prompt.clone_from(&prompts.negative);
        parameters.style_prompt.clone_from(&prompts.style);
        parameters.regions = regions.iter().map(|it| it.positive.clone()).collect();
    }
    if let Some(sampling) = &input.sampling {
        parameters.sampler.clone_from(&sampling.sampler);
        parameters.scheduler.clone_from(&sampling.scheduler);
        parameters.steps = u32::try_from(sampling.total_steps).ok();
        parameters.guidance = Some(sampling.cfg_scale);
        parameters.strength = Some(strength(sampling));
        parameters.seed = u64::try_from(sampling.seed).ok();
    }
}

/// Share of the schedule that is sampled. The plugin cuts the number of steps after it has computed the first: at least one is
/// left.
fn strength(sampling: &Sampling) -> f64 {
    let steps = sampling.total_steps.max(1);
    let left = steps.saturating_sub(sampling.start_step).clamp(1, steps);
    left as f64 / steps as f64
}
