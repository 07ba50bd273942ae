//! What the plugin's protocol calls things.

use model::{
    Account, CancelCause, RunTimes, TaskState, Usage,
    socket::{ResultView, TaskView},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// The protocol's word for where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum StatusWord {
    /// It waits, for the first time or again.
    InQueue,
    /// It is rendered.
    InProgress,
    /// Pictures are there.
    Completed,
    /// It went wrong.
    Failed,
    /// It took too long.
    TimedOut,
    /// The painter canceled it.
    Cancelled,
}

impl StatusWord {
    pub(crate) const fn of(state: TaskState, cancel: Option<CancelCause>) -> Self {
        match (state, cancel) {
            (TaskState::Queued, _) => Self::InQueue,
            (TaskState::Running, _) => Self::InProgress,
            (TaskState::Succeeded, _) => Self::Completed,
            (TaskState::Failed, _) => Self::Failed,
            (TaskState::Expired, _) | (TaskState::Canceling, Some(CancelCause::Expired)) => Self::TimedOut,
            (TaskState::Canceled | TaskState::Canceling, _) => Self::Cancelled,
        }
    }
}

/// What the caller has used of this month.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Spent {
    /// Pictures delivered.
    images_generated: u64,
    /// Credits left, rounded down.
    credits: u64,
}

impl Spent {
    pub(crate) fn of(usage: &Usage, account: &Account) -> Self {
        Self {
            images_generated: usage.images,
            credits: usage.left(account).credits_left(),
        }
    }
}

/// Where a task stands, and once it is over what is left.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    #[serde(flatten)]
    pub(crate) status: StatusReply,
    /// Once the task is over and settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<Spent>,
}

/// Where a task stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatusReply {
    pub(crate) status: StatusWord,
    /// While it is rendered and once it is completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<StatusOutput>,
    /// Why it failed, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Beyond the protocol, for whoever measures: where the time went.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<RunTimes>,
}

impl StatusReply {
    /// That of a task which has only been let in.
    pub(crate) const fn waiting() -> Self {
        Self {
            status: StatusWord::InQueue,
            output: None,
            error: None,
            times: None,
        }
    }
}

/// What there is of the pictures.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct StatusOutput {
    /// Share done, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<ImageBlob>,
    /// The people in the picture, in OpenPose's form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pose: Option<Value>,
    /// A LoRA was left out, or did nothing, since it is made for another kind of model.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    lora_warning: bool,
}

/// All pictures, one after the other.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImageBlob {
    /// A presigned GET.
    url: String,
    /// Start byte of each picture.
    offsets: Vec<u64>,
}

impl From<TaskView> for StatusReply {
    fn from(view: TaskView) -> Self {
        let mut reply = Self {
            status: StatusWord::of(view.state, view.cancel),
            ..Self::waiting()
        };
        match (view.state, view.result) {
            (TaskState::Running, _) => {
                reply.output = Some(StatusOutput {
                    progress: Some(view.progress),
                    ..StatusOutput::default()
                });
            }
            (TaskState::Succeeded, Some(result)) => {
                reply.times = result.times;
                reply.output = Some(result.into());
            }
            (TaskState::Failed, _) => {
                let message = view.error.map(|error| error.message);
                reply.error = Some(message.unwrap_or_else(|| "The picture could not be rendered.".to_owned()));
            }
            _ => {}
        }
        reply
    }
}

impl From<ResultView> for StatusOutput {
    fn from(result: ResultView) -> Self {
        Self {
            progress: None,
            images: Some(ImageBlob {
                url: result.url,
                offsets: result.offsets,
            }),
            pose: result.pose,
            lora_warning: result.lora_warning,
        }
    }
}
