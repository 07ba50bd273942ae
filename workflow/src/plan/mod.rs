//! What a worker needs to know to paint a picture.

mod graph;
mod output;
mod recipe;
mod work;

pub use graph::Graph;
pub use output::Output;
pub use recipe::{Colour, Filling, Filter, Input, Operation, Source};
pub use work::Work;

use serde::{Deserialize, Serialize};

/// Text that stands for the name of a result in a graph.
pub(crate) const SAVE_PLACEHOLDER: &str = "output";
const INPUT_PLACEHOLDER: &str = "input:";

/// Text that stands for the name of an uploaded picture in a graph.
pub(crate) fn input_placeholder(place: usize) -> String {
    format!("{INPUT_PLACEHOLDER}{place}")
}

/// A picture's whole production: prepare `inputs`, run `graph`, `finish` what it made, expect `output`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Pictures to prepare first, one after the other. Those to be uploaded are so in this order, in which
    /// [`Plan::bind`] wants their names.
    pub inputs: Vec<Input>,
    /// With placeholders for names that only the worker knows; see [`Plan::bind`].
    pub graph: Graph,
    /// What is done to each picture that the graph has made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finish: Vec<Operation>,
    /// What must come of it.
    pub output: Output,
    /// The graph shows keypoints of people as text, in the one node that shows text; they come with the result.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pose: bool,
    /// Every model file that the graph loads: the main one first, the others sorted.
    pub models: Vec<String>,
    /// For estimates of time.
    pub work: Work,
}

/// A plan and the names to put into its graph do not fit each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// Not one name for each of [`Plan::inputs`] that is to be uploaded.
    #[error("the plan has {wanted} input pictures, but {given} were uploaded")]
    Uploads {
        /// Inputs of the plan.
        wanted: usize,
        /// Names given.
        given: usize,
    },
    /// The graph reads a picture that the plan does not list: the plan was not made by [`crate::compile`].
    #[error("the graph reads {0:?}, which is none of the plan's input pictures")]
    Placeholder(String),
}

impl Plan {
    /// Lets a LoRA do nothing, wherever the graph applies it: ComfyUI passes over strengths of 0 without loading the file.
    pub fn silence(&mut self, lora: &str) {
        self.graph.silence(lora);
    }

    /// Lets the graph load another file wherever it applies this LoRA.
    pub fn replace_lora(&mut self, lora: &str, file: &str) {
        self.graph.lora_inputs(lora, |inputs| {
            inputs.insert("lora_name".to_owned(), file.into());
        });
    }

    /// The graph with every placeholder replaced: `LoadImage` gets the name that ComfyUI returned for each input,
    /// `SaveImage` a file name prefix, which should be unique to the run.
    pub fn bind(&self, uploads: &[String], filename_prefix: &str) -> Result<Graph, BindError> {
        let uploaded = self.inputs.iter().enumerate().filter(|(_, input)| input.upload);
        let wanted: Vec<_> = uploaded.map(|(place, _)| place).collect();
        if uploads.len() != wanted.len() {
            return Err(BindError::Uploads {
                wanted: wanted.len(),
                given: uploads.len(),
            });
        }
        let mut graph = self.graph.clone();
        graph.edit(&["LoadImage", "LoadImageMask"], "image", |image| {
            let place = image
                .strip_prefix(INPUT_PLACEHOLDER)
                .and_then(|place| place.parse::<usize>().ok());
            let upload = place.and_then(|place| wanted.binary_search(&place).ok());
            let upload = upload.and_then(|number| uploads.get(number));
            *image = upload.ok_or_else(|| BindError::Placeholder(image.clone()))?.clone();
            Ok(())
        })?;
        graph.edit(&["SaveImage"], "filename_prefix", |prefix| {
            filename_prefix.clone_into(prefix);
            Ok::<_, BindError>(())
        })?;
        Ok(graph)
    }
}
