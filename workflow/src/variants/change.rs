//! One value of an axis.

use super::short;
use crate::{WorkflowInput, refusal::Refusal};

/// How much of a prompt a label repeats, characters.
const PROMPT: usize = 60;
/// How much of a name.
const NAME: usize = 40;
/// Longest prompt with its parts, bytes: more than any that can be painted.
const LONGEST: usize = 80_000;

/// What a variant changes of its request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Change<'a> {
    Checkpoint(&'a str),
    Lora(&'a str, f64),
    Sampler(&'a str),
    Steps(i64),
    Guidance(f64),
    Prompt(&'a str),
    Part(&'a str, &'a str),
    Seed(i64),
}

impl Change<'_> {
    /// Carries it out. The axis was found to fit; a request that has not what is to be changed is refused all the same.
    pub(super) fn apply(&self, input: &mut WorkflowInput) -> Result<(), Refusal> {
        let missing = || Refusal::new("this request has not what is to be varied.");
        match *self {
            Self::Checkpoint(name) => name.clone_into(&mut input.models.as_mut().ok_or_else(missing)?.checkpoint),
            Self::Lora(name, strength) => {
                let loras = &mut input.models.as_mut().ok_or_else(missing)?.loras;
                for lora in loras.iter_mut().filter(|it| it.name == name) {
                    lora.strength = strength;
                }
            }
            Self::Sampler(name) => name.clone_into(&mut input.sampling.as_mut().ok_or_else(missing)?.sampler),
            Self::Steps(steps) => input.sampling.as_mut().ok_or_else(missing)?.total_steps = steps,
            Self::Guidance(value) => input.sampling.as_mut().ok_or_else(missing)?.cfg_scale = value,
            Self::Seed(seed) => input.sampling.as_mut().ok_or_else(missing)?.seed = seed,
            Self::Prompt(text) => text.clone_into(&mut input.conditioning.as_mut().ok_or_else(missing)?.positive),
            Self::Part(name, text) => {
                let positive = &mut input.conditioning.as_mut().ok_or_else(missing)?.positive;
                let place = format!("{{{name}}}");
                let more = positive.matches(&place).count().saturating_mul(text.len());
                // A short request must not become a long one by repetition; what is exactly too long is found with the plan.
                if positive.len().saturating_add(more) > LONGEST {
                    return Err(Refusal::new("the prompt is too long with its parts. Shorten it."));
                }
                *positive = positive.replace(&place, text);
            }
        }
        Ok(())
    }

    /// What it is, for people.
    pub(super) fn label(&self) -> String {
        match *self {
            Self::Checkpoint(name) | Self::Sampler(name) => short(file(name), NAME),
            Self::Lora(name, strength) => format!("{} {strength}", short(file(name), NAME)),
            Self::Steps(steps) => format!("{steps} steps"),
            Self::Guidance(value) => format!("guidance {value}"),
            Self::Seed(seed) => format!("seed {seed}"),
            Self::Prompt(text) => short(text, PROMPT),
            Self::Part(name, text) => format!("{}: {}", short(name, NAME), short(text, PROMPT)),
        }
    }
}

/// A file's name without folders and ending.
fn file(name: &str) -> &str {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    name.strip_suffix(".safetensors").unwrap_or(name)
}
