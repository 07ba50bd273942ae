//! What the functions have measured of a run, as their logs have it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use local::metrics;
use model::metrics::TABLE;

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

/// The names of all metrics in these lines, which the table has.
fn measured(lines: &[String]) -> Result<BTreeSet<String>> {
    let found: BTreeSet<_> = metrics::read(lines)?.into_keys().map(|(name, _)| name).collect();
    let unknown: Vec<_> = found
        .iter()
        .filter(|name| TABLE.iter().all(|row| row.name != **name))
        .collect();
    ensure!(unknown.is_empty(), "{unknown:?} are not declared");
    Ok(found)
}

/// The alarms are there, and one whose metric is as it should not be is raised.
pub(crate) async fn raise_alarms(studio: Studio) -> Result<()> {
    let stack = &studio.stack;
    let begin = Instant::now();
    for metric in ["BreakerOpen", "Saturated", "Stranded", "IdleMachines"] {
        stack.put_metric(metric, 1.0).await?;
    }
    loop {
        let alarms = stack.alarms().await?;
        ensure!(alarms.len() == 12, "{alarms:?}");
        let raised = alarms.iter().filter(|(_, state)| state == "ALARM");
        let raised: Vec<_> = raised.map(|(name, _)| name.as_str()).collect();
        let is_raised = |part| raised.iter().any(|name| name.contains(part));
        if ["BreakerOpens", "PoolSaturated", "NobodyServes", "MachineIdles"]
            .into_iter()
            .all(is_raised)
        {
            ensure!(!is_raised("StartsFail") && !is_raised("PicturesFail"), "{alarms:?}");
            return Ok(());
        }
        ensure!(begin.elapsed() < LATE, "{alarms:?}");
        tokio::time::sleep(LOOK).await;
    }
}
