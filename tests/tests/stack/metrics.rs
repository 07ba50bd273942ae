//! What the functions have measured of a run, as their logs have it.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Result, ensure};
use model::metrics::TABLE;
use serde_json::Value;

use crate::studio::{LOOK, Studio, small};

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
    loop {
        let found = measured(&studio.stack.folder)?;
        let missing: Vec<_> = OF_A_PICTURE.iter().filter(|it| !found.contains(**it)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        // What a function has written reaches the log a little later.
        tokio::time::sleep(LOOK).await;
    }
}

/// The names of all metrics in these logs.
fn measured(folder: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|it| it != "log") {
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        for line in text.lines().filter(|it| it.contains("\"CloudWatchMetrics\"")) {
            let Some(begin) = line.find('{') else { continue };
            // The last line may still be written.
            let Ok(line) = serde_json::from_str::<Value>(&line[begin..]) else {
                continue;
            };
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
    }
    Ok(found)
}
