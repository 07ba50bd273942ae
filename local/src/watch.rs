//! Watching a picture being made.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use model::{TaskId, TaskState};
use serde_json::Value;

use crate::painter::Painter;

/// How often to look.
const PERIOD: Duration = Duration::from_millis(200);

/// When what happened.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Stage and when it began, from the submit on.
    pub(crate) stages: Vec<(String, Duration)>,
    /// From the submit until the result was readable.
    pub(crate) total: Duration,
    /// The last status.
    pub(crate) completed: Value,
}

/// Shows each stage with a bar until the task is over.
pub(crate) async fn watch(painter: &Painter, task: TaskId, started: Instant) -> Result<Watched> {
    let bar = ProgressBar::new(100);
    bar.set_style(ProgressStyle::with_template(
        "  {elapsed:>4} {bar:30} {percent:>3} % {wide_msg}",
    )?);
    let mut stages: Vec<(String, Duration)> = Vec::new();
    loop {
        let view = painter.view(task).await?;
        let stage = match view.state {
            TaskState::Queued => view.note.unwrap_or_else(|| "Waiting.".to_owned()),
            TaskState::Running => "Rendering.".to_owned(),
            TaskState::Canceling => "Canceling.".to_owned(),
            TaskState::Succeeded | TaskState::Failed | TaskState::Canceled | TaskState::Expired => {
                bar.finish_and_clear();
                let completed = painter.status(task).await?;
                if view.state != TaskState::Succeeded {
                    let why = view.error.map(|error| error.message).unwrap_or_default();
                    bail!("no picture: {:?} {why}", view.state);
                }
                return Ok(Watched {
                    stages,
                    total: started.elapsed(),
                    completed,
                });
            }
        };
        bar.set_position((f64::from(view.progress) * 100.0).round() as u64);
        bar.set_message(stage.clone());
        if stages.last().is_none_or(|(last, _)| *last != stage) {
            stages.push((stage, started.elapsed()));
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// The parts of a run as the worker measured them.
pub(crate) fn times(completed: &Value) -> Result<model::RunTimes> {
    serde_json::from_value(completed["times"].clone()).context("the status has no times")
}
