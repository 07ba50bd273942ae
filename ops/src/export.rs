//! `ops user export`: all that is stored of what a user painted, as files.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use cloud::{
    Cloud,
    page::Cursor,
    tables::{AllPools, BodyOf, DocumentsOf, HazardOf, PresenceOf, StepsOf},
};
use history::{HistoryError, index::Scope};
use model::{GroupId, Task, TaskResult, UserId};
use serde_json::{Value, json};
use tasks::list::{self, Choice};

use crate::user::TABLES;

/// `ops user export`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Whose.
    pub user: UserId,
    /// The folder to write to, which is made if it is not there. What an earlier call has fetched is not fetched again.
    #[arg(long)]
    pub to: PathBuf,
}

/// Tasks of a page of the list.
const PAGE: usize = 100;
/// Steps of a page of a history.
const STEPS: u32 = 20;

/// Exports; returns what to print.
pub async fn run(cloud: &Cloud, arguments: &Arguments) -> Result<String> {
    let folder = Folder::new(&arguments.to)?;
    let account = cloud.store.get(&arguments.user).await.context(TABLES)?;
    let mut done = Done::default();
    let mut lines = folder.lines("tasks.jsonl")?;
    let mut after = None;
    loop {
        let scope = Scope::Owner(arguments.user.clone());
        let listed = list::all(cloud, &scope, &Choice::ALL, after, PAGE)
            .await
            .context(TABLES)?;
        done.damaged += listed.damaged;
        for found in &listed.tasks {
            let line = one(cloud, &folder, &found.task, &mut done).await?;
            lines.add(&line)?;
        }
        after = listed.next;
        if after.is_none() {
            break;
        }
    }
    ensure!(
        account.is_some() || done.tasks > 0,
        "there is nothing of {}: no account, no tasks",
        arguments.user
    );
    lines.end()?;
    recorded(cloud, &folder, &arguments.user).await?;
    habits(cloud, &folder, &arguments.user).await?;
    groups(cloud, &folder, &done.groups).await?;
    if let Some(account) = account {
        folder.put("account.json", &serde_json::to_vec_pretty(&account)?)?;
    }
    ensure!(
        done.damaged == 0,
        "{} parts of the list of what {} painted are damaged, and their tasks are missing: see docs/history.md",
        done.damaged,
        arguments.user
    );
    Ok(format!(
        "{} tasks with {} pictures and {} thumbnails are in {}; {} pictures were deleted before",
        done.tasks,
        done.pictures,
        done.thumbnails,
        arguments.to.display(),
        done.gone
    ))
}

/// Writes what was recorded of how the user's documents came to be: a document or a step a line, small pictures in base64.
async fn recorded(cloud: &Cloud, folder: &Folder, user: &UserId) -> Result<()> {
    let documents = cloud.store.list(DocumentsOf(user)).await.context(TABLES)?;
    if documents.is_empty() {
        return Ok(());
    }
    let mut lines = folder.lines("history.jsonl")?;
    for document in documents {
        lines.add(&json!(document))?;
        let mut after: Option<Cursor> = None;
        loop {
            let list = StepsOf(user, &document.document);
            let page = cloud.store.page(list, after.as_ref(), STEPS).await.context(TABLES)?;
            for step in &page.entries {
                lines.add(&json!(step))?;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    lines.end()
}

/// Writes what pools know of the user's habits, a pool a line: their stay, and how often they ask.
async fn habits(cloud: &Cloud, folder: &Folder, user: &UserId) -> Result<()> {
    let pools = cloud.store.get(&AllPools).await.context(TABLES)?;
    let mut found = Vec::new();
    for pool in pools.map(|it| it.pools).unwrap_or_default() {
        let (stay, learned) = (PresenceOf(pool.clone(), user.clone()), HazardOf(pool.clone()));
        let read = tokio::try_join!(cloud.store.get_readable(&stay), cloud.store.get_readable(&learned));
        let (presence, hazard) = read.context(TABLES)?;
        let painter = hazard.and_then(|it| it.painters.into_iter().find(|it| it.user == *user));
        if presence.is_some() || painter.is_some() {
            found.push(json!({ "pool": pool, "presence": presence, "learned": painter }));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let mut lines = folder.lines("habits.jsonl")?;
    for line in &found {
        lines.add(line)?;
    }
    lines.end()
}

/// Writes the groups of variants that are still there, one a line, and their contact sheets.
async fn groups(cloud: &Cloud, folder: &Folder, ids: &BTreeSet<GroupId>) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut lines = folder.lines("groups.jsonl")?;
    for id in ids {
        let Some(group) = cloud.store.get_readable(id).await.context(TABLES)? else {
            continue;
        };
        lines.add(&json!(group))?;
        let name = format!("sheets/{id}.webp");
        if let Some(key) = group.sheet.filter(|_| !folder.has(&name))
            && let Some(found) = cloud.bucket.read(&key).await.context(BUCKET)?
        {
            folder.put(&name, &found.bytes)?;
        }
    }
    lines.end()
}

/// What was exported, or lay there already.
#[derive(Debug, Default)]
struct Done {
    /// Groups of variants that some of the tasks are of.
    groups: BTreeSet<GroupId>,
    tasks: u64,
    pictures: usize,
    thumbnails: u64,
    gone: usize,
    /// Parts of the list that cannot be read.
    damaged: usize,
}

/// Writes a task's files; gives its line.
async fn one(cloud: &Cloud, folder: &Folder, task: &Task, done: &mut Done) -> Result<Value> {
    done.tasks += 1;
    done.groups.extend(task.variant.as_ref().map(|variant| variant.group));
    let mut line = json!({ "task": task, "pictures": [], "thumbnails": [] });
    let body = cloud.store.get_readable(&BodyOf(task.task_id)).await.context(TABLES)?;
    let parameters = match body {
        Some(body) => {
            if let Some(plan) = body.plan {
                line["plan"] = serde_json::from_str(&plan).unwrap_or(Value::Null);
            }
            body.parameters
        }
        None if task.state.is_terminal() => {
            let record = match history::find_record(&cloud.bucket, task).await {
                // The list has what is known of it all the same.
                Err(HistoryError::Damaged { .. }) => None,
                found => found.context(BUCKET)?,
            };
            record.and_then(|record| record.parameters)
        }
        None => None,
    };
    line["parameters"] = serde_json::to_value(parameters)?;
    let Some(result) = &task.result else { return Ok(line) };
    match pictures(cloud, folder, task, result).await? {
        Some(names) => {
            done.pictures += names.len();
            line["pictures"] = json!(names);
        }
        None => done.gone += result.offsets.len(),
    }
    for (place, key) in result.thumbnail_keys().enumerate() {
        let name = format!("thumbnails/{}/{place}.webp", task.task_id);
        if !folder.has(&name) {
            let Some(found) = cloud.bucket.read(&key).await.context(BUCKET)? else {
                continue;
            };
            folder.put(&name, &found.bytes)?;
        }
        done.thumbnails += 1;
        if let Some(names) = line["thumbnails"].as_array_mut() {
            names.push(name.into());
        }
    }
    Ok(line)
}

const BUCKET: &str = "the bucket of pictures could not be read; run this again, it goes on where it was";

/// Writes the pictures of a task, each by itself; gives their names, none if they are gone.
async fn pictures(cloud: &Cloud, folder: &Folder, task: &Task, result: &TaskResult) -> Result<Option<Vec<String>>> {
    let name = |place: usize, kind: &str| format!("pictures/{}/{place}.{kind}", task.task_id);
    let there = |place: usize| KINDS.iter().map(|kind| name(place, kind)).find(|name| folder.has(name));
    let count = result.offsets.len();
    let written: Vec<_> = (0..count).filter_map(there).collect();
    if written.len() == count {
        return Ok(Some(written));
    }
    let Some(blob) = cloud.bucket.read(&result.place()).await.context(BUCKET)? else {
        return Ok(None);
    };
    let mut names = Vec::with_capacity(count);
    for (place, start) in result.offsets.iter().enumerate() {
        let end = result.offsets.get(place + 1).unwrap_or(&result.size);
        let (start, end) = (usize::try_from(*start)?, usize::try_from(*end)?);
        let Some(picture) = blob.bytes.get(start..end) else {
            // Another blob than was said. What there is of it is worth having.
            folder.put(&name(0, "damaged"), &blob.bytes)?;
            return Ok(Some(vec![name(0, "damaged")]));
        };
        let name = name(place, kind(picture));
        folder.put(&name, picture)?;
        names.push(name);
    }
    Ok(Some(names))
}

const KINDS: [&str; 2] = ["png", "webp"];

fn kind(picture: &[u8]) -> &'static str {
    if picture.starts_with(b"RIFF") { "webp" } else { "png" }
}

/// The folder that is written to: a file is there whole or not at all.
struct Folder(PathBuf);

impl Folder {
    fn new(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self(path.to_owned()))
    }

    fn has(&self, name: &str) -> bool {
        self.0.join(name).is_file()
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.0.join(name);
        let written = || {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            let part = path.with_extension("part");
            fs::write(&part, bytes)?;
            fs::rename(&part, &path)
        };
        written().with_context(|| format!("{} cannot be written", path.display()))
    }

    fn lines(&self, name: &str) -> Result<Lines> {
        let path = self.0.join(name);
        let part = path.with_extension("part");
        let file = fs::File::create(&part).with_context(|| format!("{} cannot be written", part.display()))?;
        Ok(Lines {
            file: BufWriter::new(file),
            part,
            path,
        })
    }
}

/// A file of JSON Lines that is not there until it is whole.
struct Lines {
    file: BufWriter<fs::File>,
    part: PathBuf,
    path: PathBuf,
}

impl Lines {
    fn add(&mut self, line: &Value) -> Result<()> {
        writeln!(self.file, "{line}").with_context(|| format!("{} cannot be written", self.part.display()))
    }

    fn end(mut self) -> Result<()> {
        self.file.flush()?;
        fs::rename(&self.part, &self.path).with_context(|| format!("{} cannot be written", self.path.display()))
    }
}
