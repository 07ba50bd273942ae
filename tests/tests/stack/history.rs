//! From a picture to its record, and from there to who asks.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use ::history::index::{Scope, after};
use anyhow::{Context, Result, bail, ensure};
use cloud::{
    Write,
    bucket::BucketPort,
    tables::{DemandOf, ForecastOf},
};
use model::Millis;
use serde_json::Value;
use tokio::process::Command;

use crate::studio::{LOOK, Studio, small};

const DAY: std::time::Duration = std::time::Duration::from_hours(24);
/// The second reader, from PyPI.
const DUCKDB: &str = "duckdb==2.0.1";

/// A picture is painted; its change comes by the table's stream, its record lies in the bucket, is put together with others the
/// next day, and is listed and read by another program when the table has the task no more.
pub(crate) async fn painted_archived_listed_and_read_by_others(studio: Studio) -> Result<()> {
    let mut tasks = Vec::new();
    for seed in 1..=2 {
        let task = studio.painter.submit(&small(2, seed)?).await?;
        studio.finish(task).await?;
        tasks.push(task);
    }
    let bucket = studio.stack.pictures();
    for task in &tasks {
        let archived = loop {
            let found = studio.task(*task).await?;
            if found.archived_at.is_some() {
                break found;
            }
            tokio::time::sleep(LOOK).await;
        };
        ensure!(archived.ttl.is_some() && archived.unarchived.is_none(), "{archived:?}");
        let record = ::history::find_record(bucket, &archived)
            .await?
            .context("there is no record")?;
        ensure!(record.gpu_ms > 0 && record.task.last_run.is_some(), "{record:?}");
        let asked = record.parameters.context("nobody knows what it was asked with")?;
        ensure!(asked.kind == "generate" && asked.seed.is_some(), "{asked:?}");
    }
    // Both were counted with their records, and the deployed function learns from it and publishes.
    let store = studio.stack.store();
    let counted = store.list(DemandOf(&studio.pool, 100)).await?;
    let (arrivals, gpu_ms) = counted
        .iter()
        .fold((0, 0), |sum, it| (sum.0 + it.arrivals, sum.1 + it.gpu_ms));
    ensure!(arrivals >= 2 && gpu_ms > 0, "{counted:?}");
    studio.stack.forecast(true).await?;
    studio.stack.forecast(false).await?;
    let said = store.get(&ForecastOf(studio.pool.clone())).await?;
    let said = said.context("nothing was forecast")?.hour;
    ensure!(said.fault.is_none() && said.learned.is_some(), "{said:?}");
    // The next day.
    let tomorrow = cloud::now() + DAY;
    let done = ::history::compact(bucket, tomorrow).await;
    // Those of this painter may have been taken by who does the same for another.
    ensure!(done.damaged == 0 && done.failed == 0, "{done:?}");
    let first = studio.task(tasks[0]).await?;
    let scope = Scope::Owner(first.owner.clone());
    let found = after(bucket, &scope, None, Millis(0), 10).await?;
    ensure!(found.entries.len() == 2, "{found:?}");
    // As DynamoDB deletes it.
    let mut gone = first.clone();
    studio.stack.store().commit([Write::delete(&mut gone)]).await?;
    let page = studio.painter.ok("GET", "tasks", None).await?;
    let listed: Vec<_> = page["tasks"]
        .as_array()
        .context("no list")?
        .iter()
        .map(|it| it["task_id"].as_str())
        .collect();
    let wanted: Vec<_> = tasks.iter().rev().map(ToString::to_string).collect();
    ensure!(
        listed == wanted.iter().map(|it| Some(it.as_str())).collect::<Vec<_>>(),
        "{page}"
    );
    let whole = studio
        .painter
        .ok("GET", &format!("tasks/{}", first.task_id), None)
        .await?;
    ensure!(
        whole["parameters"]["seed"] == 1 && whole["state"] == "succeeded",
        "{whole}"
    );
    // A double that comes when its day was put together counts once.
    let record = ::history::find_record(bucket, &first)
        .await?
        .context("there is no record")?;
    ::history::put(bucket, &record).await?;
    read_by_others(bucket.port().as_ref(), first.owner.as_str(), first.team.as_str()).await
}

/// The saved queries, by a second reader of the same files.
async fn read_by_others(bucket: &dyn BucketPort, owner: &str, team: &str) -> Result<()> {
    let Some(python) = python().await else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    for key in bucket.list(::history::ARCHIVE, None).await? {
        let path = folder.path().join(key.trim_start_matches(::history::ARCHIVE));
        let object = bucket.read(&key).await?.context("it was there")?;
        std::fs::create_dir_all(path.parent().context("a key without a folder")?)?;
        std::fs::write(path, object.bytes)?;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("athena/read.py");
    let said = Command::new(python).arg(script).arg(folder.path()).output().await?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let answers: Vec<Vec<Value>> = serde_json::from_slice(&said.stdout)?;
    ensure!(answers.len() == 3, "{answers:?}");
    let of_painter = answers[0]
        .iter()
        .find(|row| row["owner"] == owner && row["team"] == team);
    let of_painter = of_painter.with_context(|| format!("{owner} is not in {answers:?}"))?;
    ensure!(
        of_painter["tasks"] == 2 && of_painter["gpu_seconds"].as_f64().is_some_and(|it| it > 0.0),
        "{of_painter}"
    );
    ensure!(answers[1..].iter().all(|rows| !rows.is_empty()), "{answers:?}");
    Ok(())
}

/// A Python that has the second reader, in a folder of the checkout.
async fn python() -> Option<PathBuf> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.atelier/duckdb");
    let python = home.join("bin/python");
    match made(&home, &python).await {
        Ok(()) => Some(python),
        Err(why) => {
            let why =
                format!("history: the files are not read by a second reader, since {DUCKDB} is not to be had: {why:#}");
            let _ = writeln!(std::io::stderr(), "{why}");
            None
        }
    }
}

async fn made(home: &Path, python: &Path) -> Result<()> {
    if run(Command::new(python).args(["-c", "import duckdb"])).await.is_ok() {
        return Ok(());
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(home)).await?;
    run(Command::new(python).args(["-m", "pip", "install", "--quiet", DUCKDB])).await
}

async fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(std::process::Stdio::null()).output().await?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
