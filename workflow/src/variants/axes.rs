//! The axes of a grid, and whether a request has them.

use super::{Seeds, Variants, change::Change};
use crate::{
    Kind, WorkflowInput,
    refusal::{Refusal, quote},
};

/// One axis.
pub(super) enum Axis<'a> {
    Checkpoints(&'a [String]),
    Lora(&'a str, &'a [f64]),
    Samplers(&'a [String]),
    Steps(&'a [i64]),
    Guidance(&'a [f64]),
    Prompts(&'a [String]),
    Part(&'a str, &'a [String]),
    Seeds(&'a Seeds),
}

/// Those that are named, the slowest first: a checkpoint takes long to load and is changed least.
pub(super) fn of(variants: &Variants) -> Vec<Axis<'_>> {
    let Variants {
        checkpoints,
        loras,
        samplers,
        steps,
        guidance,
        prompts,
        prompt_parts,
        seeds,
    } = variants;
    let mut axes = Vec::new();
    axes.extend(checkpoints.as_deref().map(Axis::Checkpoints));
    axes.extend(loras.iter().map(|(name, values)| Axis::Lora(name, values)));
    axes.extend(samplers.as_deref().map(Axis::Samplers));
    axes.extend(steps.as_deref().map(Axis::Steps));
    axes.extend(guidance.as_deref().map(Axis::Guidance));
    axes.extend(prompts.as_deref().map(Axis::Prompts));
    axes.extend(prompt_parts.iter().map(|(name, values)| Axis::Part(name, values)));
    axes.extend(seeds.as_ref().map(Axis::Seeds));
    axes
}

impl<'a> Axis<'a> {
    /// How many values it has.
    pub(super) fn len(&self) -> u64 {
        let many = match self {
            Self::Checkpoints(values) | Self::Samplers(values) | Self::Prompts(values) | Self::Part(_, values) => {
                values.len()
            }
            Self::Lora(_, values) | Self::Guidance(values) => values.len(),
            Self::Steps(values) => values.len(),
            Self::Seeds(Seeds::These(values)) => values.len(),
            Self::Seeds(Seeds::Count(count)) => return *count,
        };
        many as u64
    }

    /// What it is called in a refusal, in the plural.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Checkpoints(_) => "checkpoints".to_owned(),
            Self::Lora(name, _) => format!("weights of the LoRA {}", quote(name)),
            Self::Samplers(_) => "samplers".to_owned(),
            Self::Steps(_) => "steps".to_owned(),
            Self::Guidance(_) => "values of guidance".to_owned(),
            Self::Prompts(_) => "prompts".to_owned(),
            Self::Part(name, _) => format!("prompt parts {}", quote(name)),
            Self::Seeds(_) => "seeds".to_owned(),
        }
    }

    /// Its values; a refusal if one is there twice. Only for an axis of which is known that it is short.
    pub(super) fn changes(&self, base: &WorkflowInput) -> Result<Vec<Change<'a>>, Refusal> {
        let changes: Vec<Change<'a>> = match *self {
            Self::Checkpoints(values) => values.iter().map(|it| Change::Checkpoint(it)).collect(),
            Self::Lora(name, values) => values.iter().map(|it| Change::Lora(name, *it)).collect(),
            Self::Samplers(values) => values.iter().map(|it| Change::Sampler(it)).collect(),
            Self::Steps(values) => values.iter().map(|it| Change::Steps(*it)).collect(),
            Self::Guidance(values) => values.iter().map(|it| Change::Guidance(*it)).collect(),
            Self::Prompts(values) => values.iter().map(|it| Change::Prompt(it)).collect(),
            Self::Part(name, values) => values.iter().map(|it| Change::Part(name, it)).collect(),
            Self::Seeds(Seeds::These(values)) => values.iter().map(|it| Change::Seed(*it)).collect(),
            Self::Seeds(Seeds::Count(count)) => {
                let first = base.sampling.as_ref().map_or(0, |it| it.seed);
                // After the largest comes 0: a seed is never negative.
                let after = |more: u64| (first.cast_unsigned().wrapping_add(more) & i64::MAX as u64).cast_signed();
                (0..*count).map(|more| Change::Seed(after(more))).collect()
            }
        };
        for (at, change) in changes.iter().enumerate() {
            if changes[..at].contains(change) {
                let twice = change.label();
                return Err(Refusal::new(format!(
                    "the variants' {} have {} twice.",
                    self.name(),
                    quote(&twice)
                )));
            }
        }
        Ok(changes)
    }
}

/// Refuses axes that the request has not.
pub(super) fn fit(variants: &Variants, axes: &[Axis<'_>], base: &WorkflowInput) -> Result<(), Refusal> {
    let paints = matches!(
        base.kind,
        Kind::Generate | Kind::Refine | Kind::RefineRegion | Kind::Inpaint | Kind::UpscaleTiled
    );
    for axis in axes {
        let has = match axis {
            _ if !paints => false,
            Axis::Checkpoints(_) => base.models.is_some(),
            Axis::Lora(name, _) => {
                let mut loras = base.models.iter().flat_map(|it| &it.loras);
                loras.any(|it| it.name == **name)
            }
            Axis::Samplers(_) | Axis::Steps(_) | Axis::Guidance(_) | Axis::Seeds(_) => base.sampling.is_some(),
            Axis::Prompts(_) | Axis::Part(..) => base.conditioning.is_some(),
        };
        if !has {
            let (kind, name) = (&base.kind, axis.name());
            return Err(Refusal::new(format!("this request ({kind}) has no {name} to vary.")));
        }
    }
    let own = base.conditioning.iter().map(|it| &it.positive);
    let prompts: Vec<_> = match &variants.prompts {
        Some(prompts) => prompts.iter().collect(),
        None => own.collect(),
    };
    let places = || variants.prompt_parts.keys().map(|name| format!("{{{name}}}"));
    for (text, place) in variants
        .prompt_parts
        .values()
        .flatten()
        .flat_map(|text| places().map(move |place| (text, place)))
    {
        if text.contains(&place) {
            return Err(Refusal::new(format!(
                "{} stands in a prompt part, which cannot be varied itself.",
                quote(&place)
            )));
        }
    }
    for (name, place) in variants.prompt_parts.keys().zip(places()) {
        if name.is_empty() || !prompts.iter().all(|it| it.contains(&place)) {
            return Err(Refusal::new(format!(
                "{} does not stand in each prompt.",
                quote(&place)
            )));
        }
    }
    Ok(())
}
