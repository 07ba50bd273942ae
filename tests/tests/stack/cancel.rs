//! The painter changes their mind.

use anyhow::{Result, ensure};
use model::TaskState;

use crate::studio::{Studio, small};

pub(crate) async fn while_queued(studio: Studio) -> Result<()> {
    let task = studio.painter.submit(&small(4, 1)?).await?;
    let reply = studio.painter.cancel(studio.pool.as_str(), task).await?;
    ensure!(reply["status"] == "CANCELLED", "{reply}");
    ensure!(
        studio.painter.status(task).await?["status"] == "CANCELLED",
        "status says something else"
    );
    ensure!(
        studio.task(task).await?.result.is_none(),
        "a canceled task has a result"
    );
    // Canceling again, or something that is over, changes nothing.
    studio.painter.cancel(studio.pool.as_str(), task).await?;
    ensure!(studio.task(task).await?.state == TaskState::Canceled, "it came back");
    Ok(())
}

pub(crate) async fn while_running(studio: Studio) -> Result<()> {
    let long = studio.painter.submit(&small(800, 1)?).await?;
    studio.until_painting(long).await?;
    studio.painter.cancel(studio.pool.as_str(), long).await?;
    ensure!(
        studio.painter.status(long).await?["status"] == "CANCELLED",
        "status says something else"
    );
    let task = studio.until(long, |task| task.state == TaskState::Canceled).await?;
    ensure!(
        task.result.is_none() && task.run.is_none(),
        "a canceled task kept something"
    );
    // The same worker, and its ComfyUI, are free for the next.
    let next = studio.painter.submit(&small(2, 2)?).await?;
    studio.finish(next).await?;
    ensure!(
        studio.until_machines(|_| true).await?.len() == 1,
        "another machine was started"
    );
    Ok(())
}
