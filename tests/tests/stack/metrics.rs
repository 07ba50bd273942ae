//! What the functions have measured of a run, as their logs have it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use model::metrics::TABLE;
use serde_json::Value;

use crate::studio::{LOOK, Studio, small};

/// The longest that a line takes.
const LATE: Duration = Duration::from_secs(30);

/// What a picture, the machine that painted it, and a minute of both show.
const OF_A_PICTURE: [&str; 21] = [
    "Submits",
    "Tasks",
    "TaskFailed",
    "TaskWait",
    "TaskTime",
    "Credits",
    "PictureCost",
    "Starts",
    "BootTime",
    "RamUse",
    "DiskUse",
    "Workers",
    "MachineTime",
    "MachineCost",
    "QueueLength",
    "OldestWait",
    "Painters",
    "BreakerOpen",
    "StartsFailed",
    "Saturated",
    "TickTime",
];

/// A picture is painted and a tick looks at it; then the logs have each metric of it, and no other than declared ones.
pub(crate) async fn of_a_picture(studio: Studio) -> Result<()> {
    let task = studio.painter.submit(&small(2, 1)?).await?;
    studio.finish(task).await?;
    studio.stack.tick_lifecycle().await?;
    let begin = Instant::now();
    loop {
        let lines = studio.stack.log_lines().await?;
        let found = measured(&lines)?;
        let missing: Vec<_> = OF_A_PICTURE.iter().filter(|it| !found.contains(**it)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        // What a function has written reaches the log a little later.
        ensure!(
            begin.elapsed() < LATE,
            "{missing:?} are in none of {} lines",
            lines.len()
        );
        tokio::time::sleep(LOOK).await;
    }
}

/// The names of all metrics in these lines.
fn measured(lines: &[String]) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for line in lines.iter().filter(|it| it.contains("\"CloudWatchMetrics\"")) {
        let line: Value = serde_json::from_str(line).with_context(|| line.clone())?;
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten() {
            ensure!(directive["Namespace"] == "Atelier/atelier", "{directive}");
            for metric in directive["Metrics"].as_array().into_iter().flatten() {
                let name = metric["Name"].as_str().unwrap_or_default();
                let row = TABLE.iter().find(|row| row.name == name);
                ensure!(row.is_some_and(|row| metric["Unit"] == row.unit.word()), "{metric}");
                ensure!(line.get(name).is_some(), "{line}");
                found.insert(name.to_owned());
            }
        }
    }
    Ok(found)
}
