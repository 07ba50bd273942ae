//! What the picture shows.

use super::{
    defaults::{full, is_default, is_full, is_whole, whole},
    models::Lora,
    names::ControlMode,
};
use serde::{Deserialize, Serialize};

/// What the picture shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conditioning {
    /// Root prompt.
    pub positive: String,
    /// What to avoid.
    #[serde(default, skip_serializing_if = "is_default")]
    pub negative: String,
    /// Template around each prompt, with `{prompt}` in its place.
    #[serde(default, skip_serializing_if = "is_default")]
    pub style: String,
    /// Control layers of the whole picture.
    #[serde(default)]
    pub control: Vec<Control>,
    /// The first one is the background.
    #[serde(default)]
    pub regions: Vec<Region>,
    /// Language of the prompts, such as "de"; "" for English.
    #[serde(default, skip_serializing_if = "is_default")]
    pub language: String,
    /// Gives the canvas to an edit model as reference.
    #[serde(default, skip_serializing_if = "is_default")]
    pub edit_reference: bool,
}

/// One control layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// What the layer shows.
    pub mode: ControlMode,
    /// Index of its picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<i64>,
    /// Weight.
    #[serde(default = "full", skip_serializing_if = "is_full")]
    pub strength: f64,
    /// First and last share of the schedule in which it acts.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub range: [f64; 2],
}

/// A part of the picture with a prompt of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// Index of the mask's picture.
    pub mask: i64,
    /// x, y, width and height in the document, in pixels; may lie outside of it.
    pub bounds: [i64; 4],
    /// Full prompt, without the style.
    pub positive: String,
    /// Control layers of this region.
    #[serde(default)]
    pub control: Vec<Control>,
    /// LoRAs of this region.
    #[serde(default)]
    pub loras: Vec<Lora>,
}
