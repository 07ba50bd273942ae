//! Messages on the WebSocket. Each is a hint: losing, doubling or reordering them loses no work.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

#[cfg(doc)]
use crate::Look;
use crate::{CancelCause, Failure, Keep, Millis, RunId, RunTimes, Task, TaskId, TaskState};

/// Bytes of a picture as it grows: in base64 and with its message it stays within the 32 KB of a frame of API Gateway.
pub const MAX_PREVIEW: usize = 12 * 1024;

/// What a client says. The route key of the WebSocket API is `action`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum ClientMessage {
    /// A worker: how far its run is.
    Progress {
        /// The task.
        task_id: TaskId,
        /// The run.
        run_id: RunId,
        /// Rising number of the report.
        seq: u64,
        /// Share done, 0 to 1.
        value: f32,
    },
    /// A painter: send the state of these tasks again, and of each change from now on. Empty: nothing but keeping the
    /// connection open.
    Sync {
        /// Which tasks.
        #[serde(default)]
        tasks: Vec<TaskId>,
    },
    /// A painter: there is activity on the canvas. At most once a minute.
    Active,
    /// A painter: show me this picture as it grows, for the next [`Look::LIFE`]. Said again for as long as somebody looks.
    Look {
        /// The task, which must be running.
        task_id: TaskId,
    },
    /// A worker whose run is looked at: the picture as far as it is.
    Preview {
        /// The task.
        task_id: TaskId,
        /// The run.
        run_id: RunId,
        /// Rising number of the picture within its run.
        seq: u64,
        /// A JPEG of at most [`MAX_PREVIEW`] bytes, in base64.
        jpeg: String,
    },
    /// Anyone: keep the connection open.
    Ping,
}

/// What the cloud says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ServerMessage {
    /// To a painter: a task as it stands.
    Task(Box<TaskView>),
    /// To a worker: there is work; try this task first.
    Wake {
        /// The task.
        task_id: Option<TaskId>,
    },
    /// To a worker: stop this run.
    Cancel {
        /// The run.
        run_id: RunId,
    },
    /// To a worker: somebody looks at this run; send pictures of it for the next [`Look::LIFE`]. Workers that do not know this
    /// ignore it.
    Look {
        /// The task.
        task_id: TaskId,
        /// The run.
        run_id: RunId,
    },
    /// To a painter who looks: the picture as far as it is. One of another run replaces what is shown; one of the same run
    /// only with a larger number.
    Preview {
        /// The task.
        task_id: TaskId,
        /// The run.
        run_id: RunId,
        /// Rising number of the picture within its run.
        seq: u64,
        /// A JPEG, in base64.
        jpeg: String,
    },
    /// To a worker: take no more work.
    Drain,
    /// To anyone: the answer to `ping`.
    Pong,
}

/// A task as its painter sees it: a whole snapshot each time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskView {
    /// The task.
    pub task_id: TaskId,
    /// Where it stands.
    pub state: TaskState,
    /// Share done, 0 to 1.
    pub progress: f32,
    /// Version of the snapshot: a smaller one than the last seen is old news.
    pub version: u64,
    /// What is happening, in words: a GPU is waking up, the task is waiting, and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Place in line, from 1, while the task waits; none for whoever is far behind, or where the index does not show the
    /// task yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
    /// Seconds until the picture is there, while the task waits: by what runs and starts took lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_s: Option<u64>,
    /// Why the task is being ended, or was ended, before its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<CancelCause>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// The pictures, once the task succeeded. Over the WebSocket only the message that says so has them, and it not with a
    /// pose: a client that did not get them asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ResultView>,
    /// Of pictures that have gone: a presigned GET of a small WebP of each, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thumbnails: Vec<String>,
}

/// The pictures of a task, for its painter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ResultView {
    /// A presigned GET of one blob with all pictures, one after the other; another one with each look.
    pub url: String,
    /// Start byte of each picture in the blob.
    pub offsets: Vec<u64>,
    /// A LoRA was left out, or did nothing, since it is made for another kind of model.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lora_warning: bool,
    /// The people in the picture, in OpenPose's form, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pose: Option<Value>,
    /// How long the parts of the run took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<RunTimes>,
    /// A presigned GET of a small WebP of each picture, in their order; none where there are none. Messages of the WebSocket,
    /// which are small, leave them out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thumbnails: Vec<String>,
    /// How long they are kept, if longer than every result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Keep>,
    /// When they are deleted, milliseconds since 1970; none if only somebody's word deletes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub gone_at: Option<Millis>,
}

impl From<&Task> for TaskView {
    fn from(task: &Task) -> Self {
        Self {
            task_id: task.task_id,
            state: task.state,
            progress: task.progress(),
            version: task.version,
            note: None,
            position: None,
            eta_s: None,
            cancel: task.cancel,
            error: task.error.clone(),
            result: None,
            thumbnails: Vec::new(),
        }
    }
}
