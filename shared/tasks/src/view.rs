//! A task as its painter sees it: one snapshot, whatever the front.

use cloud::{Bucket, Cloud, StoreError, bucket::BucketError, http::HttpError};
use model::{
    Keep, Millis, Settings, Task, TaskState,
    socket::{ResultView, TaskView},
};

use crate::line::Line;

/// A view could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

impl From<ViewError> for HttpError {
    fn from(error: ViewError) -> Self {
        match error {
            ViewError::Store(error) => error.into(),
            ViewError::Bucket(error) => error.into(),
        }
    }
}

/// The whole view: while the task waits with words, place in line and time left, once it succeeded with its pictures.
pub async fn whole(cloud: &Cloud, settings: &Settings, task: &Task, now: Millis) -> Result<TaskView, ViewError> {
    if task.state == TaskState::Queued {
        let line = Line::read(cloud, &task.pool).await?;
        return Ok(waiting(&line, settings, task, now));
    }
    Ok(with_thumbnails(&cloud.bucket, settings, task).await?)
}

/// The view of a task that waits in this line.
pub fn waiting(line: &Line, settings: &Settings, task: &Task, now: Millis) -> TaskView {
    let eta = line.eta(task.task_id, settings, now);
    TaskView {
        note: Some(line.words(settings, now).to_owned()),
        position: eta.map(|eta| eta.position),
        eta_s: eta.map(|eta| eta.done.as_secs()),
        ..TaskView::from(task)
    }
}

/// The view without a look at the line, with the thumbnails of its pictures.
pub async fn with_thumbnails(bucket: &Bucket, settings: &Settings, task: &Task) -> Result<TaskView, BucketError> {
    let mut view = shown(bucket, settings, task).await?;
    if let (Some(shown), Some(result)) = (&mut view.result, &task.result) {
        for key in result.thumbnail_keys() {
            shown
                .thumbnails
                .push(bucket.presign_get(&key, settings.url_life).await?);
        }
    }
    Ok(view)
}

/// The view of a task that only the archive has: with its pictures if they are still there, and else with their thumbnails.
pub async fn past(bucket: &Bucket, settings: &Settings, task: &Task, now: Millis) -> Result<TaskView, BucketError> {
    let Some(result) = &task.result else {
        return Ok(TaskView::from(task));
    };
    let gone_at = task.ended_at.and_then(|ended| result.gone_at(ended));
    if gone_at.is_none_or(|gone| now < gone) {
        return with_thumbnails(bucket, settings, task).await;
    }
    let mut view = TaskView::from(task);
    for key in result.thumbnail_keys() {
        view.thumbnails.push(bucket.presign_get(&key, settings.url_life).await?);
    }
    Ok(view)
}

/// The view without a look at the line.
pub async fn shown(bucket: &Bucket, settings: &Settings, task: &Task) -> Result<TaskView, BucketError> {
    let mut view = TaskView::from(task);
    if let Some(result) = &task.result {
        view.result = Some(ResultView {
            url: bucket.presign_get(&result.place(), settings.url_life).await?,
            offsets: result.offsets.clone(),
            lora_warning: result.lora_warning,
            pose: result.pose.as_ref().map(model::Pose::openpose),
            times: task.times,
            thumbnails: Vec::new(),
            kept: result.kept.map(|kept| kept.how).filter(|how| *how != Keep::Nothing),
            gone_at: task.ended_at.and_then(|ended| result.gone_at(ended)),
        });
    }
    Ok(view)
}
