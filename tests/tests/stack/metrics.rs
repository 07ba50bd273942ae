//! What the functions have measured of a run, as their logs have it.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use cloud::{Write, on_conflict};
use local::{Stack, metrics};
use model::{MicroUsd, Millis, Worker, WorkerId, WorkerState, metrics::TABLE, worker_api::PROTOCOL};
use serde_json::{Value, json};

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

/// What the functions say of a task from its submit to its record, each with its id.
const LIFE: [&str; 4] = ["submitted", "claimed", "run ended", "its record was written"];

/// A picture is painted and a tick looks at it; then the logs have each metric of it, and no other than declared ones, and the way of
/// the task through functions and machine by its id.
pub(crate) async fn of_a_picture(studio: Studio) -> Result<()> {
    let task = studio.painter.submit(&small(2, 1)?).await?;
    studio.finish(task).await?;
    studio.stack.tick_lifecycle().await?;
    let run = studio.task(task).await?.last_run.context("no run")?;
    let machine = fs::read_to_string(studio.stack.folder.join(format!("{}.log", run.worker_id)))?;
    let of_task = |line: &str| line.contains("run begins") && line.contains(&task.to_string());
    ensure!(machine.lines().any(of_task), "the machine does not name the task");
    let begin = Instant::now();
    loop {
        let lines = studio.stack.log_lines().await?;
        let found = measured(&lines)?;
        let mut missing: Vec<_> = OF_A_PICTURE.iter().filter(|it| !found.contains(**it)).collect();
        let of_task: Vec<_> = lines.iter().filter(|it| it.contains(&task.to_string())).collect();
        let said = |words: &str| {
            of_task
                .iter()
                .any(|it| it.contains(&format!("\"message\":\"{words}\"")))
        };
        missing.extend(LIFE.iter().filter(|words| !said(words)));
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

/// What nothing on this machine can know (a GPU and its driver, systemd's marks, a file system that machines share, a file that is
/// damaged) is said in a machine's place: it comes up, paints, and its ComfyUI goes. Its instance type is none that CloudWatch takes.
pub(crate) async fn of_what_only_a_machine_knows(studio: Studio) -> Result<()> {
    let (stack, now) = (&studio.stack, cloud::now());
    let mut worker = Worker::launching(WorkerId::new("w-by-its-word"), studio.pool.clone(), now);
    (worker.generation, worker.protocol) = (1, Some(PROTOCOL));
    (worker.state, worker.instance_type) = (WorkerState::Warming, Some("a new type".to_owned()));
    // Another one, of an hour ago, never came up.
    let asked = Millis(now.0 - 3_600_000);
    let mut late = Worker::launching(WorkerId::new("w-that-never-came"), studio.pool.clone(), asked);
    on_conflict!({
        let Some(mut pool) = stack.store().get(&studio.pool).await? else {
            return Ok(());
        };
        (pool.max_workers, pool.monthly_limit) = (1, Some(MicroUsd(1_000_000)));
        let writes = [Write::put(&mut pool)?, Write::put(&mut worker)?, Write::put(&mut late)?];
        stack.store().commit(writes).await
    })?;
    let machine = stack.signer().worker(&worker, now, Duration::from_mins(5))?;
    let machine = studio.painter.with_token(machine);
    let say = async |what: &str, body: Value| {
        let path = format!("workers/{}/{what}", worker.worker_id);
        machine.ok("POST", &path, Some(body.to_string())).await
    };
    let damaged = ["disk", "shared", "bucket"].map(|from| json!({ "file": "atelier/shared/x", "from": from }));
    let up = json!({
        "ready": true, "damaged": damaged,
        "gpu": { "percent": 97, "vram_used_mib": 9000, "vram_total_mib": 24000 },
        "boot": { "kernel_ms": 4000, "userland_ms": 5000, "driver_ms": 900, "comfyui_ms": 20000, "warm_up_ms": 6000 },
    });
    say("heartbeat", up).await?;
    stack.tick_lifecycle().await?;
    let task = studio.painter.submit(&small(2, 1)?).await?;
    let run = say("claim", json!({})).await?;
    let reads =
        ["disk", "shared", "bucket"].map(|from| json!({ "from": from, "bytes": 7_000_000_000_u64, "ms": 2500 }));
    let done = json!({
        "task_id": task, "run_id": run["assignment"]["run_id"], "offsets": [0], "size": 20, "reads": reads,
        "times": { "fetch_ms": 1, "execute_ms": 900, "upload_ms": 1 },
    });
    let ended = say("result", done).await?;
    ensure!(ended["accepted"] == true, "{ended}");
    say("heartbeat", json!({ "ready": false })).await?;
    Ok(())
}

/// Each series that the deployed dashboard shows of ours is in the logs of the run, and so is each that an alarm looks at, since
/// that is on the dashboard too (the handlers' tests hold the template against the table).
pub(crate) async fn are_all_seen(stack: &Stack) -> Result<()> {
    let dashboard = stack.dashboard().await?;
    let widgets = dashboard["widgets"].as_array().into_iter().flatten();
    let shown: Vec<_> = widgets
        .filter_map(|it| it["properties"]["metrics"].as_array())
        .flatten()
        .filter_map(own)
        .collect();
    ensure!(
        shown.len() >= TABLE.len(),
        "the dashboard was not understood: {shown:?}"
    );
    let begin = Instant::now();
    loop {
        let lines = stack.log_lines().await?;
        measured(&lines)?;
        let found: BTreeSet<_> = metrics::read(&lines)?.into_keys().collect();
        let is_seen = |(name, of): &(String, Vec<String>)| {
            found
                .iter()
                .any(|(it, values)| it == name && (of.is_empty() || values == of))
        };
        let missing: Vec<_> = shown.iter().filter(|it| !is_seen(it)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        ensure!(begin.elapsed() < LATE, "nothing has written {missing:?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// A metric of ours on the dashboard: its name, and the values of its dimensions where it shows one series.
fn own(metric: &Value) -> Option<(String, Vec<String>)> {
    if let Some(search) = metric[0]["expression"].as_str() {
        let name = search.split("MetricName=\"").nth(1)?.split('"').next()?;
        return search.contains("Atelier/").then(|| (name.to_owned(), Vec::new()));
    }
    let mut words = metric.as_array()?.iter().map_while(Value::as_str);
    words.next().filter(|it| it.starts_with("Atelier/"))?;
    let name = words.next()?.to_owned();
    Some((name, words.skip(1).step_by(2).map(str::to_owned).collect()))
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
