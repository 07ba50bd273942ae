//! What somebody has painted is kept, taken along as files, and gone for good.

use std::{collections::BTreeSet, fs};

use ::history::index::Scope;
use anyhow::{Context, Result, ensure};
use cloud::bucket::LISTED;

use crate::{
    installed::Installed,
    studio::{LOOK, Studio, small},
};

const DAY: std::time::Duration = std::time::Duration::from_hours(24);

/// Two pictures are painted and archived, one of them kept; `ops` writes both into a folder, then erases all: neither tables nor
/// bucket have anything that names them, and nobody is shown them any more.
pub(crate) async fn kept_exported_and_gone(studio: Studio) -> Result<()> {
    let mut tasks = Vec::new();
    for seed in 1..=2 {
        let task = studio.painter.submit(&small(2, seed)?).await?;
        studio.finish(task).await?;
        tasks.push(task.to_string());
        while studio.task(task).await?.archived_at.is_none() {
            tokio::time::sleep(LOOK).await;
        }
    }
    let user = studio.painter.ok("GET", "user", None).await?["id"].clone();
    let user = user.as_str().context("nobody")?;
    let keep = format!("tasks/{}/keep", tasks[0]);
    let kept = studio.painter.ok("POST", &keep, None).await?;
    ensure!(kept["result"]["kept"] == "always", "{kept}");
    // Its record says so, too, and the next day both are in their day's file and in lists.
    let first = studio.task(tasks[0].parse()?).await?;
    let bucket = studio.stack.pictures();
    let is_kept = |it: &model::TaskResult| it.kept.is_some();
    loop {
        let record = ::history::find_record(bucket, &first).await?;
        if record.is_some_and(|it| it.task.result.as_ref().is_some_and(is_kept)) {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    let done = ::history::compact(bucket, cloud::now() + DAY).await;
    ensure!(done.damaged == 0 && done.failed == 0, "{done:?}");
    let before = named(&studio, &tasks).await?;
    for place in [
        "archive/",
        "index/owner=",
        "index/team=",
        "kept/",
        "results/",
        "thumbs/",
    ] {
        ensure!(before.iter().any(|it| it.starts_with(place)), "{place}: {before:?}");
    }

    let installed = Installed::of(&studio).await?;
    let to = installed.folder().join("taken along");
    let said = installed
        .ops(&["user", "export", user, "--to", &to.display().to_string()], "")
        .await?;
    ensure!(
        said.starts_with("2 tasks with 2 pictures and 2 thumbnails are in "),
        "{said}"
    );
    let lines = fs::read_to_string(to.join("tasks.jsonl"))?;
    for task in &tasks {
        ensure!(lines.contains(task.as_str()), "{lines}");
        let picture = fs::read(to.join(format!("pictures/{task}/0.png")))?;
        ensure!(picture.starts_with(b"\x89PNG"), "no picture of {task}");
    }

    // Whoever answers with another word has asked for nothing.
    let refused = installed.ops(&["user", "erase", user], "yes\n").await;
    ensure!(refused.is_err_and(|it| it.to_string().contains("nothing was deleted")));
    ensure!(named(&studio, &tasks).await? == before, "something is gone");
    let said = installed.ops(&["user", "erase", user], &format!("{user}\n")).await?;
    ensure!(said.contains("deleted: ") && !said.contains("but not"), "{said}");
    let left = named(&studio, &tasks).await?;
    ensure!(left.is_empty(), "{left:?}");
    let owner = Scope::Owner(model::UserId::new(user));
    ensure!(bucket.list(&owner.folder(), None).await?.is_empty());
    let listed = studio.painter.ok("GET", "tasks", None).await?;
    ensure!(listed["tasks"].as_array().is_some_and(Vec::is_empty), "{listed}");
    for task in &tasks {
        let shown = studio.painter.call("GET", &format!("tasks/{task}"), None).await?;
        ensure!(shown.status == 404, "{shown:?}");
        ensure!(
            studio
                .stack
                .store()
                .get(&task.parse::<model::TaskId>()?)
                .await?
                .is_none()
        );
    }
    Ok(())
}

/// Objects whose key or, in records and lists, whose lines name one of these tasks.
async fn named(studio: &Studio, tasks: &[String]) -> Result<BTreeSet<String>> {
    let bucket = studio.stack.pictures();
    let (mut found, mut after) = (BTreeSet::new(), None);
    loop {
        let keys = bucket.list("", after.as_deref()).await?;
        for key in &keys {
            let is_of = |text: &str| tasks.iter().any(|task| text.contains(task.as_str()));
            let lines = if key.ends_with(".jsonl.gz") {
                let object = bucket.read(key).await?;
                object
                    .map(|it| ::history::lines(key, &it.bytes))
                    .transpose()?
                    .unwrap_or_default()
            } else {
                Vec::new()
            };
            if is_of(key) || lines.iter().any(|line| is_of(line)) {
                found.insert(key.clone());
            }
        }
        if keys.len() < LISTED {
            return Ok(found);
        }
        after = keys.into_iter().next_back();
    }
}
