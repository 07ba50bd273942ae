//! A task in the words of the plugin's protocol.

use cloud::{Cloud, http::HttpError};
use model::{CancelCause, Settings, Task, TaskState};
use serde_json::{Value, json};

/// The protocol's word for a state.
pub(crate) const fn word(state: TaskState, cancel: Option<CancelCause>) -> &'static str {
    match (state, cancel) {
        (TaskState::Queued, _) => "IN_QUEUE",
        (TaskState::Running, _) => "IN_PROGRESS",
        (TaskState::Succeeded, _) => "COMPLETED",
        (TaskState::Failed, _) => "FAILED",
        (TaskState::Expired, _) | (TaskState::Canceling, Some(CancelCause::Expired)) => "TIMED_OUT",
        (TaskState::Canceled | TaskState::Canceling, _) => "CANCELLED",
    }
}

/// The reply to `status`.
pub(crate) async fn of(cloud: &Cloud, settings: &Settings, task: &Task) -> Result<Value, HttpError> {
    let status = word(task.state, task.cancel);
    Ok(match (task.state, &task.result) {
        (TaskState::Running, _) => json!({ "status": status, "output": { "progress": task.progress() } }),
        (TaskState::Succeeded, Some(result)) => {
            let url = cloud.bucket.presign_get(&result.key, settings.url_life).await?;
            let mut output = json!({ "images": { "url": url, "offsets": result.offsets } });
            if let Some(pose) = &result.pose {
                output["pose"] = pose.openpose();
            }
            if result.lora_warning {
                output["lora_warning"] = true.into();
            }
            json!({
                "status": status,
                "output": output,
                // Beyond the protocol, for whoever measures: where the time went.
                "times": task.times,
            })
        }
        (TaskState::Failed, _) => {
            let message = task
                .error
                .as_ref()
                .map_or("The picture could not be rendered.", |error| &error.message);
            json!({ "status": status, "error": message })
        }
        _ => json!({ "status": status }),
    })
}
