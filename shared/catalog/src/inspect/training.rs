//! What trainers write into a file's metadata: kohya's `ss_…`, and the Model Metadata Standard's `modelspec.…`
//! (<https://github.com/Stability-AI/ModelSpec>).

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

/// Most trigger words that are kept.
const MAX_WORDS: usize = 12;
/// Longest text that is kept, characters.
const MAX_TEXT: usize = 200;
/// A word that so many of the pictures have, in percent, triggers what was trained.
const OFTEN: u64 = 80;

/// What is known of how it was trained; what a file does not say is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Training {
    /// What it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// What its author allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Side of the pictures, pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<u32>,
    /// Rank of a LoRA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<u32>,
    /// Steps of training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// The model that it was trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Words for a prompt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
}

pub(super) fn read(metadata: Option<&HashMap<String, String>>) -> Training {
    let Some(metadata) = metadata else {
        return Training::default();
    };
    let text = |names: &[&str]| {
        let found = names.iter().filter_map(|name| metadata.get(*name));
        found.map(|it| plain(it)).find(|it| !it.is_empty() && it != "None")
    };
    let resolution = text(&["modelspec.resolution", "ss_resolution"]);
    Training {
        title: text(&["modelspec.title", "ss_output_name"]),
        author: text(&["modelspec.author"]),
        licence: text(&["modelspec.license"]),
        resolution: resolution.as_deref().and_then(first_number),
        rank: text(&["ss_network_dim"]).as_deref().and_then(first_number),
        steps: text(&["ss_steps", "ss_max_train_steps"]).and_then(|it| it.parse().ok()),
        base: text(&["ss_sd_model_name", "ss_base_model_version"]),
        words: words(metadata),
    }
}

/// Without control characters and of bounded length.
fn plain(text: &str) -> String {
    let kept = text.chars().filter(|c| !c.is_control()).take(MAX_TEXT);
    kept.collect::<String>().trim().to_owned()
}

/// `1024x1024`, `(768, 768)` and `512` are all one side.
fn first_number(text: &str) -> Option<u32> {
    let digits = text.split(|c: char| !c.is_ascii_digit()).find(|it| !it.is_empty())?;
    digits.parse().ok()
}

/// Those that its author names, or else those that nearly all pictures had: most often first.
fn words(metadata: &HashMap<String, String>) -> Vec<String> {
    if let Some(named) = metadata.get("modelspec.trigger_phrase") {
        let named = named.split(',').map(plain).filter(|it| !it.is_empty());
        return named.take(MAX_WORDS).collect();
    }
    // By folder of pictures, how many of them have each tag.
    let tags = metadata.get("ss_tag_frequency");
    let tags: Option<BTreeMap<String, BTreeMap<String, u64>>> = tags.and_then(|it| serde_json::from_str(it).ok());
    let mut counts = BTreeMap::<String, u64>::new();
    for (tag, count) in tags.unwrap_or_default().into_values().flatten() {
        let sum = counts.entry(plain(&tag)).or_default();
        *sum = sum.saturating_add(count);
    }
    counts.remove("");
    let most = counts.values().copied().max().unwrap_or(0);
    let mut counts: Vec<_> = counts
        .into_iter()
        .filter(|(_, count)| count.saturating_mul(100) >= most.saturating_mul(OFTEN))
        .collect();
    counts.sort_by(|(a, many), (b, few)| few.cmp(many).then_with(|| a.cmp(b)));
    counts.into_iter().map(|(tag, _)| tag).take(MAX_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(metadata: &[(&str, &str)]) -> Training {
        let metadata = metadata
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        read(Some(&metadata.collect()))
    }

    #[test]
    fn what_trainers_write_is_read() {
        let kohya = of(&[
            ("ss_output_name", "mara_v2"),
            ("ss_resolution", "(768, 768)"),
            ("ss_network_dim", "16"),
            ("ss_steps", "1800"),
            ("ss_sd_model_name", "dreamshaper_8.safetensors"),
            (
                "ss_tag_frequency",
                r#"{"10_mara": {"mara": 20, "red scarf": 18, "hat": 3}, "5_more": {" mara ": 4}}"#,
            ),
        ]);
        let wanted = Training {
            title: Some("mara_v2".to_owned()),
            resolution: Some(768),
            rank: Some(16),
            steps: Some(1800),
            base: Some("dreamshaper_8.safetensors".to_owned()),
            words: vec!["mara".to_owned()],
            ..Training::default()
        };
        assert_eq!(kohya, wanted);
        let spec = of(&[
            ("modelspec.title", "Ink"),
            ("modelspec.resolution", "1024x1024"),
            ("modelspec.license", "CC-BY-4.0"),
            ("modelspec.trigger_phrase", "ink drawing, sumi-e,"),
            ("ss_network_dim", "None"),
        ]);
        assert_eq!((spec.resolution, spec.rank), (Some(1024), None));
        assert_eq!(spec.words, ["ink drawing", "sumi-e"]);
        assert_eq!(spec.licence.as_deref(), Some("CC-BY-4.0"));
    }

    #[test]
    fn what_makes_no_sense_is_left_out() {
        let long = "x".repeat(10_000);
        let odd = of(&[
            ("ss_steps", "-3"),
            ("ss_network_dim", "99999999999999999999"),
            ("ss_resolution", "square"),
            ("ss_tag_frequency", "[1, 2"),
            ("modelspec.title", &long),
            ("modelspec.author", "\u{0}\u{7}"),
        ]);
        let title = odd.title.clone().unwrap();
        assert_eq!(title.len(), MAX_TEXT);
        assert_eq!(
            odd,
            Training {
                title: Some(title),
                ..Training::default()
            }
        );
        assert_eq!(read(None), Training::default());
    }
}
