//! What a worker needs to know to paint a picture.

use crate::{
    graph::Graph,
    recipe::{Input, Operation},
    scale::Extent,
};
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
    #[serde(default, skip_serializing_if = "is_no")]
    pub pose: bool,
    /// Every model file that the graph loads: the main one first, the others sorted.
    pub models: Vec<String>,
    /// For estimates of time.
    pub work: Work,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_no(value: &bool) -> bool {
    !*value
}

/// The pictures that a plan makes, all of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Pictures.
    pub count: u32,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// As lossy WebP files instead of PNGs, for painters whose line is slow.
    #[serde(default, skip_serializing_if = "is_no")]
    pub webp: bool,
}

impl Output {
    /// So many pictures of this size.
    pub(crate) fn of(count: u32, extent: Extent) -> Self {
        Self {
            count,
            width: extent.width(),
            height: extent.height(),
            webp: false,
        }
    }
}

/// The diffusion in a plan. Loading, encoding and enlarging are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Sampling steps that really run, of all passes together; those that `start_step` leaves out are not counted.
    pub steps: u32,
    /// Millions of pixels that one step treats, of the whole batch together; the mean over all steps.
    pub megapixels: f32,
}

impl Work {
    /// The work of these passes (steps, pixels of one picture) for a batch.
    pub(crate) fn of(passes: impl Iterator<Item = (u32, u64)>, batch: u32) -> Self {
        let (steps, pixels) = passes.fold((0, 0), |(steps, pixels), (s, p)| (steps + s, pixels + u64::from(s) * p));
        let per_step = if steps == 0 {
            0.0
        } else {
            (pixels * u64::from(batch)) as f64 / f64::from(steps)
        };
        Self {
            steps,
            megapixels: (per_step / 1e6) as f32,
        }
    }

    /// Megapixel-steps: steps × megapixels, the batch included. Time on one kind of GPU with one kind of model is about
    /// proportional to it.
    pub fn units(&self) -> f64 {
        f64::from(self.steps) * f64::from(self.megapixels)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::float_cmp, reason = "powers of two")]
    fn work_is_the_sum_over_passes() {
        let work = Work::of([(20, 1_000_000), (8, 4_000_000)].into_iter(), 2);
        assert_eq!(work.steps, 28);
        assert!((work.units() - 104.0).abs() < 1e-4);
        assert_eq!(Work::of(std::iter::empty(), 1).units(), 0.0);
    }
}
