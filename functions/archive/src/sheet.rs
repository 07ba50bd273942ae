//! The contact sheet of a group of variants, once all of its tasks are over: the one picture that a function makes.

use cloud::{
    Cloud, StoreError, Write,
    bucket::{BucketError, Expect},
    on_conflict,
    retry::MayConflict,
};
use image::{ImageFormat, Limits, RgbImage};
use model::{Group, Task, TaskId, TaskState};
use tracing::info;

/// A contact sheet was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SheetError {
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The sheet is larger than a WebP can be.
    #[error("a sheet of {0}x{1} pixels")]
    TooLarge(u32, u32),
}

impl MayConflict for SheetError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_conflict())
    }
}

/// Makes the sheet of this task's group, if it is time. False if there is nothing to do: the task is no variant, others of
/// its group are not over, the group has a sheet, or there is nothing to be seen.
pub(crate) async fn make(cloud: &Cloud, id: TaskId) -> Result<bool, SheetError> {
    let Some(variant) = cloud.store.get_readable(&id).await?.and_then(|task| task.variant) else {
        return Ok(false);
    };
    let mut put: Option<String> = None;
    let made = on_conflict!({
        let group = cloud.store.get_readable(&variant.group).await?;
        let Some(mut group) = group.filter(|it| it.sheet.is_none()) else {
            // Of one that was deleted this moment nothing is to stay; of one that has a sheet it is that.
            if let Some(key) = put.take()
                && cloud.store.get_readable(&variant.group).await?.is_none()
            {
                cloud.bucket.delete(&key).await?;
            }
            return Ok(false);
        };
        let ids: Vec<_> = group.members.iter().map(|it| it.task_id).collect();
        let tasks = cloud.store.get_all(&ids).await?;
        let has_pictures = |task: &Task| {
            task.result
                .as_ref()
                .is_some_and(|it| it.thumbnail_keys().next().is_some())
        };
        let mut there = tasks.iter().flatten();
        if there.any(|task| !task.state.is_terminal()) || !tasks.iter().flatten().any(has_pictures) {
            if let Some(key) = put.take() {
                cloud.bucket.delete(&key).await?;
            }
            return Ok(false);
        }
        let file = drawn(cloud, &group, &tasks).await?;
        let key = Group::sheet_key(group.group_id);
        cloud.bucket.put_if(&key, file.into(), Expect::Anything).await?;
        put = Some(key.clone());
        group.sheet = Some(key);
        cloud.store.commit([Write::put(&mut group)?]).await?;
        Ok::<_, SheetError>(true)
    })?;
    if made {
        info!(group.id = %variant.group, "its contact sheet was made");
    }
    Ok(made)
}

async fn drawn(cloud: &Cloud, group: &Group, tasks: &[Option<Task>]) -> Result<Vec<u8>, SheetError> {
    let mut pictures = Vec::with_capacity(tasks.len());
    for task in tasks {
        pictures.push(picture(cloud, task.as_ref()).await?);
    }
    let cells = group
        .members
        .iter()
        .zip(&pictures)
        .map(|(member, picture)| ::sheet::Cell {
            label: &member.label,
            picture: picture.as_ref().map_err(|words| *words),
        });
    let sheet = ::sheet::draw(&cells.collect::<Vec<_>>());
    let (width, height) = sheet.dimensions();
    pictures::webp(sheet.as_raw(), width, height, false).ok_or(SheetError::TooLarge(width, height))
}

/// The first picture of a task, small; else why there is none.
async fn picture(cloud: &Cloud, task: Option<&Task>) -> Result<Result<RgbImage, &'static str>, SheetError> {
    let Some(task) = task else {
        return Ok(Err("kept no more"));
    };
    let Some(key) = task.result.as_ref().and_then(|it| it.thumbnail_keys().next()) else {
        return Ok(Err(match task.state {
            TaskState::Succeeded => "no small picture",
            other => other.word(),
        }));
    };
    let Some(whole) = cloud.bucket.read(&key).await? else {
        return Ok(Err("kept no more"));
    };
    Ok(decoded(&whole.bytes).ok_or("damaged"))
}

/// Longest side of a thumbnail, pixels. A worker that lies may send one of few bytes that would take all of the memory.
const LARGEST: u32 = 512;

fn decoded(file: &[u8]) -> Option<RgbImage> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST);
    limits.max_image_height = Some(LARGEST);
    let picture = pictures::read(file, ImageFormat::WebP, limits).ok()?;
    Some(picture.into_rgb8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbnail_that_would_take_the_memory_is_damaged() {
        for (width, good) in [(256, true), (513, false), (16_000, false)] {
            let pixels = vec![90; width as usize * 4 * 3];
            let file = pictures::webp(&pixels, width, 4, false).unwrap();
            assert_eq!(decoded(&file).is_some(), good, "{width}");
        }
        assert_eq!(decoded(b"garbage"), None);
    }
}
