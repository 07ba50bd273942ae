use std::{ops::Range, time::Duration};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Failure, Keep, Kept, Millis, Pose, RunId, TaskId, WorkerId};

/// One attempt at a task, kept on the task while it lasts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The fence: every later write about this run names it.
    pub run_id: RunId,
    /// Who renders.
    pub worker_id: WorkerId,
    /// The generation of the worker's process that renders; absent where an earlier release has claimed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// When the worker claimed it.
    pub claimed_at: Millis,
    /// When the run counts as lost unless the worker renews it. Never a condition of a commit.
    pub lease_until: Millis,
    /// When the worker must give up, however alive it is: the run's limit, and what fetching its model may take. Never renewed.
    pub deadline: Millis,
    /// Number of the newest progress report taken; older ones are dropped.
    #[serde(default)]
    pub seq: u64,
    /// Share done, 0 to 1.
    #[serde(default)]
    pub progress: f32,
}

/// Who rendered a task last, kept once it is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// The run.
    pub run_id: RunId,
    /// The worker.
    pub worker_id: WorkerId,
}

/// The pictures of a finished run: one blob in the bucket, and beside it a small one of each.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskResult {
    /// Bucket key, `results/<task>/<run>`.
    pub key: String,
    /// Start byte of each picture in the blob; at least one.
    pub offsets: Vec<u64>,
    /// Size of the blob in bytes.
    pub size: u64,
    /// A LoRA was left out, or did nothing, since it is made for another kind of model.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lora_warning: bool,
    /// The people in the picture, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pose: Option<Pose>,
    /// Each picture has a thumbnail. Older workers make none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub thumbnails: bool,
    /// Whether they are kept longer than every result; none while nobody has decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
}

/// Largest thumbnail, bytes.
pub const MAX_THUMBNAIL: u64 = 20_000;

impl TaskResult {
    /// How long the bucket has every result, by its own rule.
    pub const LIFE: Duration = Duration::from_hours(7 * 24);

    /// Where a run's pictures lie: the run is in the name, so that a lost worker's late upload overwrites nothing.
    pub fn key_of(task_id: TaskId, run_id: RunId) -> String {
        format!("results/{task_id}/{run_id}")
    }

    /// Where the thumbnail of a run's picture lies, by the picture's place among them.
    pub fn thumbnail_key(task_id: TaskId, run_id: RunId, place: usize) -> String {
        format!("thumbs/{task_id}/{run_id}/{place}.webp")
    }

    /// Where the pictures lie if they are kept so; none if they are not kept.
    pub fn kept_key(&self, how: Keep) -> Option<String> {
        let run = self.key.strip_prefix("results/").unwrap_or(&self.key);
        (how != Keep::Nothing).then(|| format!("kept/{}/{run}", how.word()))
    }

    /// Where the pictures lie, to be read.
    pub fn place(&self) -> String {
        let kept = self.kept.and_then(|kept| self.kept_key(kept.how));
        kept.unwrap_or_else(|| self.key.clone())
    }

    /// When the bucket ends them, of a task that ended then; none if it does not.
    pub fn gone_at(&self, ended: Millis) -> Option<Millis> {
        match self.kept {
            Some(Kept { how, at }) if how != Keep::Nothing => how.life().map(|life| at + life),
            _ => Some(ended + Self::LIFE),
        }
    }

    /// Largest picture that a function hands out alone, bytes: it travels as base64, in an answer of at most 6 MB.
    const MAX_ALONE: u64 = 4 << 20;

    /// Where each picture lies in the blob, in their order; none of one that is too large to be handed out alone.
    pub fn alone(&self) -> impl Iterator<Item = Option<Range<u64>>> {
        let ends = self.offsets.iter().skip(1).copied().chain([self.size]);
        let places = self.offsets.iter().copied().zip(ends);
        places.map(|(from, to)| (from < to && to - from <= Self::MAX_ALONE).then_some(from..to))
    }

    /// The bucket keys of the thumbnails, in the order of the pictures.
    pub fn thumbnail_keys(&self) -> impl Iterator<Item = String> {
        let run = self.key.strip_prefix("results/").unwrap_or(&self.key);
        let pictures = if self.thumbnails { self.offsets.len() } else { 0 };
        (0..pictures).map(move |place| format!("thumbs/{run}/{place}.webp"))
    }
}

/// How long the parts of a run took on the worker, in milliseconds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunTimes {
    /// Input pictures downloaded, checked and given to ComfyUI.
    #[serde(rename = "fetch_ms")]
    pub fetch: u64,
    /// From posting the graph to ComfyUI until the last picture was read back: ComfyUI's own time.
    #[serde(rename = "execute_ms")]
    pub execute: u64,
    /// The result finished and uploaded to the bucket, with its thumbnails.
    #[serde(rename = "upload_ms")]
    pub upload: u64,
}

/// What a worker (or the loss of it) says about a run's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Pictures are in the bucket.
    Succeeded(TaskResult, RunTimes),
    /// It did not work.
    Failed(Failure),
    /// ComfyUI was interrupted as asked.
    Interrupted,
}

/// What became of the task when its run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// The result counts.
    Committed,
    /// The task waits again, at its old place in line.
    Requeued,
    /// The task is over without a result.
    Ended,
}
