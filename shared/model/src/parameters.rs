use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a task was asked with, in words that a painter knows: enough to ask for the same picture again. Kept beside the plan,
/// which no two releases write alike, and with the task's record for good.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Parameters {
    /// Kind of picture: `generate`, `refine`, `inpaint`, `upscale_tiled` and so on, as the request names it.
    pub kind: String,
    /// What the picture shows, as the painter wrote it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prompt: String,
    /// What to avoid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub negative_prompt: String,
    /// The style's template around the prompt, with `{prompt}` in its place.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub style_prompt: String,
    /// Prompts of the regions, the background's first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// What the control layers show, as the request names it; those of regions included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub control: Vec<String>,
    /// The checkpoint.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub checkpoint: String,
    /// LoRAs, in the order in which they are applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loras: Vec<LoraStrength>,
    /// ComfyUI's name of the sampler.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sampler: String,
    /// ComfyUI's name of the scheduler.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scheduler: String,
    /// Steps of the whole schedule; absent where nothing is sampled, as are the three below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// Guidance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<f64>,
    /// Share of the schedule that is sampled, above 0 and at most 1: how far a picture may go from the one it began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strength: Option<f64>,
    /// Seed of the noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The upscale model.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub upscaler: String,
    /// Width of each picture, pixels.
    pub width: u32,
    /// Height of each picture, pixels.
    pub height: u32,
    /// Pictures wanted.
    pub count: u32,
}

/// A LoRA and how strongly it is applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LoraStrength {
    /// Its name.
    pub name: String,
    /// Weight, for model and text encoder alike.
    pub strength: f64,
}

impl Parameters {
    /// Most bytes of their texts together: two prompts of the longest kind in any script. Beyond it a table's item would not
    /// hold them beside a plan.
    pub const LONGEST: usize = 160_000;

    /// The same with texts of [`Self::LONGEST`] bytes together: what comes last is cut, and shows it.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let mut left = Self::LONGEST;
        let texts = [&mut self.prompt, &mut self.negative_prompt, &mut self.style_prompt];
        for text in texts.into_iter().chain(&mut self.regions) {
            if text.len() > left {
                text.truncate(text.floor_char_boundary(left));
                text.push('…');
            }
            left = left.saturating_sub(text.len());
        }
        // A sign that something was there says no more than the cut before it.
        self.regions.retain(|it| it.len() > '…'.len_utf8());
        self
    }

    /// Bytes of their texts together.
    pub fn bytes(&self) -> usize {
        let texts = [&self.prompt, &self.negative_prompt, &self.style_prompt];
        texts.into_iter().chain(&self.regions).map(String::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_from_behind() {
        let long = "ж".repeat(18_000);
        let parameters = Parameters {
            prompt: long.clone(),
            negative_prompt: long.clone(),
            style_prompt: long.clone(),
            regions: vec![long.clone(); 64],
            ..Parameters::default()
        };
        let bounded = parameters.bounded();
        assert_eq!((&bounded.prompt, &bounded.negative_prompt), (&long, &long));
        assert_eq!((bounded.style_prompt.len(), bounded.regions.len()), (36_000, 2));
        assert!(bounded.regions[1].ends_with('…'), "what is cut shows it");
        assert!(bounded.bytes() <= Parameters::LONGEST + '…'.len_utf8());
        let short = Parameters {
            prompt: "a tree".to_owned(),
            ..Parameters::default()
        };
        assert_eq!(short.clone().bounded(), short);
    }
}
