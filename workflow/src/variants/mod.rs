//! One request, many variants: seeds, prompts, checkpoints and numbers side by side.
//!
//! A [`Variants`] names axes; with several of them each value of one meets each of the others. [`Variants::expand`] makes the
//! requests: the one that was sent, with exactly its axes changed. How many there will be is known, and refused if it is too
//! many, before the first of them is made.

mod axes;
mod change;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    WorkflowInput,
    refusal::{Refusal, quote},
};
use change::Change;

/// Longest label, characters.
const MOST_LABEL: usize = 120;
/// Most axes of a grid.
const MOST_AXES: usize = 16;

/// What is to be varied: each list is an axis, in the order in which they stand here, the last one the fastest.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variants {
    /// Keys of checkpoints.
    #[serde(default)]
    pub checkpoints: Option<Vec<String>>,
    /// Weights of LoRAs that the request has, by their names: an axis for each.
    #[serde(default)]
    pub loras: BTreeMap<String, Vec<f64>>,
    /// Samplers.
    #[serde(default)]
    pub samplers: Option<Vec<String>>,
    /// Steps of the whole schedule.
    #[serde(default)]
    pub steps: Option<Vec<i64>>,
    /// Guidance.
    #[serde(default)]
    pub guidance: Option<Vec<f64>>,
    /// Root prompts.
    #[serde(default)]
    pub prompts: Option<Vec<String>>,
    /// What stands in each root prompt where it says `{name}`: an axis for each name.
    #[serde(default)]
    pub prompt_parts: BTreeMap<String, Vec<String>>,
    /// Seeds.
    #[serde(default)]
    pub seeds: Option<Seeds>,
}

/// Seeds, or how many.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Seeds {
    /// So many: the request's own and those after it.
    Count(u64),
    /// These.
    These(Vec<i64>),
}

/// A variant of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Expanded {
    /// What is special about it, for people, on one line of at most 120 characters.
    pub label: String,
    /// The whole request.
    pub input: WorkflowInput,
}

impl Variants {
    /// The axes in this JSON; a refusal in words if they are none.
    pub fn read(json: Value) -> Result<Self, Refusal> {
        serde_json::from_value(json)
            .map_err(|error| Refusal::new(format!("the variants cannot be read: {}.", quote(&error.to_string()))))
    }

    /// How many variants this is; a refusal if there is nothing to vary or more than `most`.
    pub fn count(&self, most: u32) -> Result<usize, Refusal> {
        let axes = axes::of(self);
        if axes.is_empty() {
            return Err(Refusal::new(
                "the variants name nothing to vary. Give seeds, prompts, checkpoints, samplers, steps, guidance or LoRAs.",
            ));
        }
        if axes.len() > MOST_AXES {
            return Err(Refusal::new(format!(
                "{} things to vary are too many, the limit is {MOST_AXES}.",
                axes.len()
            )));
        }
        if let Some(empty) = axes.iter().find(|it| it.len() == 0) {
            return Err(Refusal::new(format!("the variants' {} are empty.", empty.name())));
        }
        let product = axes
            .iter()
            .try_fold(1_u128, |product, axis| product.checked_mul(u128::from(axis.len())));
        let shown = match product {
            Some(count) if count <= u128::from(most) => return Ok(usize::try_from(count).unwrap_or(usize::MAX)),
            Some(count) => grouped(count),
            None => "more than 10^38".to_owned(),
        };
        Err(Refusal::new(format!(
            "these are {shown} variants, and at most {most} may be asked for at once."
        )))
    }

    /// The variants of this request, in order, each made when it is asked for; a refusal as of [`Self::count`], or where an
    /// axis does not fit the request.
    pub fn expand<'a>(
        &'a self,
        base: &'a WorkflowInput,
        most: u32,
    ) -> Result<impl ExactSizeIterator<Item = Result<Expanded, Refusal>> + use<'a>, Refusal> {
        let count = self.count(most)?;
        let axes = axes::of(self);
        axes::fit(self, &axes, base)?;
        let axes: Vec<Vec<Change<'_>>> = axes.iter().map(|axis| axis.changes(base)).collect::<Result<_, _>>()?;
        Ok((0..count).map(move |number| variant(base, &axes, number)))
    }
}

/// The variant of this number: the last axis is the fastest.
fn variant(base: &WorkflowInput, axes: &[Vec<Change<'_>>], mut number: usize) -> Result<Expanded, Refusal> {
    let mut chosen = Vec::with_capacity(axes.len());
    for axis in axes.iter().rev() {
        chosen.push(&axis[number % axis.len()]);
        number /= axis.len();
    }
    chosen.reverse();
    let mut input = base.clone();
    for change in &chosen {
        change.apply(&mut input)?;
    }
    let labels: Vec<_> = chosen.iter().map(|it| it.label()).collect();
    Ok(Expanded {
        label: short(&labels.join(" · "), MOST_LABEL),
        input,
    })
}

/// The text on one line, cut to so many characters.
fn short(text: &str, most: usize) -> String {
    let line = |c: char| if c.is_control() { ' ' } else { c };
    if text.chars().nth(most).is_none() {
        return text.chars().map(line).collect();
    }
    let start = text.chars().take(most - 1).map(line);
    start.chain(['…']).collect()
}

/// A number with commas.
fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
