//! `ops user erase`: all that was stored of what a user painted.

use std::{collections::BTreeSet, fmt::Write as _};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use cloud::{
    Cloud, StoreError, Write, on_conflict,
    tables::{AllPools, HazardOf, PresenceOf},
};
use history::index::Scope;
use model::{CancelCause, Millis, TaskId, UserId};
use tasks::{
    erase,
    list::{self, Choice},
    recording, runs,
};

use crate::{
    audit::by,
    user::{self, TABLES},
};

/// `ops user erase`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Whose tasks, pictures and traces are deleted.
    pub user: UserId,
    /// Delete the account too.
    #[arg(long)]
    pub account: bool,
    /// Only say what would be deleted.
    #[arg(long)]
    pub dry_run: bool,
}

/// Tasks of a page of the list.
const PAGE: usize = 100;

/// Erases; returns what to print. `ask` is asked a question first, and answers whether to go on.
pub async fn run(
    cloud: &Cloud,
    arguments: &Arguments,
    now: Millis,
    ask: impl FnOnce(&str) -> Result<bool>,
) -> Result<String> {
    let user = &arguments.user;
    let account = cloud.store.get(user).await.context(TABLES)?;
    let tasks = of(cloud, user).await?;
    let uploads = below(cloud, &uploads(user)).await?;
    let mut found = format!(
        "{user} ({}): {} tasks with their pictures, thumbnails and requests, {} uploads, what was recorded of documents, presence, learned habits, open sockets",
        if account.is_some() {
            "has an account"
        } else {
            "has no account"
        },
        tasks.len(),
        uploads.len(),
    );
    if arguments.account {
        found.push_str(", the account");
    }
    if arguments.dry_run {
        return Ok(format!("would be deleted: {found}\n{}", stays(arguments)));
    }
    let question = format!(
        "to be deleted for good: {found}\n{}\nType the user's id to go on: ",
        stays(arguments)
    );
    if !ask(&question)? {
        bail!("nothing was deleted");
    }
    let unfinished = tasks_of(cloud, user, &tasks, now).await?;
    for key in &uploads {
        cloud.bucket.delete(key).await.context(BUCKET)?;
    }
    recording::erase(&cloud.store, user).await.context(TABLES)?;
    if unfinished.is_empty() {
        // What is left of their list names nothing any more.
        for key in below(cloud, &Scope::Owner(user.clone()).folder()).await? {
            cloud.bucket.delete(&key).await.context(BUCKET)?;
        }
    }
    traces(cloud, user).await?;
    note(cloud, user, tasks.len(), now).await?;
    let mut text = format!("deleted: {found}");
    if !unfinished.is_empty() {
        let ids: Vec<_> = unfinished.iter().map(ToString::to_string).collect();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\nbut not {}: their machines are told to stop; run this again in a minute",
            ids.join(", ")
        );
    } else if arguments.account && account.is_some() {
        user::remove(&cloud.store, user, now).await?;
    }
    Ok(format!("{text}\n{}", stays(arguments)))
}

const BUCKET: &str = "the bucket of pictures could not be used";

fn uploads(user: &UserId) -> String {
    format!("uploads/{user}/")
}

/// What erasing does not reach, and for how long that is there.
fn stays(arguments: &Arguments) -> String {
    let account = if arguments.account {
        ""
    } else {
        "The account stays; --account deletes it too.\n"
    };
    format!(
        "{account}What stays: {} LoRAs and models that were uploaded are the team's (`ops lora`, `ops model`). Usage, credits and the \
         audit list (400 days) name the user. Counts of what was asked for (13 months) have a hash of their id for each five minutes, and \
         forecasts are of all painters together. What the user has preferred among others' variants stays with \
         those, 90 days at most.",
        erase::LEFT
    )
}

/// Every task, those that only the archive has too.
async fn of(cloud: &Cloud, user: &UserId) -> Result<BTreeSet<TaskId>> {
    let (mut found, mut after) = (BTreeSet::new(), None);
    loop {
        let scope = Scope::Owner(user.clone());
        let listed = list::all(cloud, &scope, &Choice::ALL, after, PAGE)
            .await
            .context(TABLES)?;
        ensure!(
            listed.damaged == 0,
            "a part of the list of what {user} painted is damaged, and what it names would be left: see docs/history.md"
        );
        found.extend(listed.tasks.iter().map(|found| found.task.task_id));
        after = listed.next;
        if after.is_none() {
            return Ok(found);
        }
    }
}

async fn below(cloud: &Cloud, prefix: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    loop {
        let more = cloud
            .bucket
            .list(prefix, found.last().map(String::as_str))
            .await
            .context(BUCKET)?;
        if more.is_empty() {
            return Ok(found);
        }
        found.extend(more);
    }
}

/// Deletes the tasks; gives those that are not over yet, which are canceled.
async fn tasks_of(cloud: &Cloud, user: &UserId, tasks: &BTreeSet<TaskId>, now: Millis) -> Result<Vec<TaskId>> {
    let mut unfinished = Vec::new();
    for id in tasks {
        match erase::erase(cloud, *id, user).await {
            // The index may show one that is gone.
            Ok(()) | Err(erase::EraseError::NoTask) => continue,
            Err(erase::EraseError::NotOver) => {}
            Err(error) => return Err(error).with_context(|| format!("{id} could not be deleted; run this again")),
        }
        let (_, task) = runs::cancel(cloud, *id, CancelCause::User, now, |_| true)
            .await
            .with_context(|| format!("{id} could not be canceled; run this again"))?;
        if task.state.is_terminal() {
            erase::erase(cloud, *id, user)
                .await
                .with_context(|| format!("{id} could not be deleted; run this again"))?;
        } else {
            unfinished.push(*id);
        }
    }
    Ok(unfinished)
}

/// What else names the user: who is present where, what pools have learned of their habits, and open sockets.
async fn traces(cloud: &Cloud, user: &UserId) -> Result<()> {
    let pools = cloud.store.get(&AllPools).await.context(TABLES)?;
    for pool in pools.map(|it| it.pools).unwrap_or_default() {
        let id = PresenceOf(pool.clone(), user.clone());
        let gone = on_conflict!({
            match cloud.store.get(&id).await? {
                Some(mut presence) => cloud.store.commit([Write::delete(&mut presence)]).await,
                None => Ok::<_, StoreError>(()),
            }
        });
        gone.context(TABLES)?;
        // Afterwards, since it is learned of who is present.
        habits(cloud, &HazardOf(pool), user).await.context(TABLES)?;
    }
    accounts::hang_up(&cloud.store, &cloud.sockets, user)
        .await
        .context(TABLES)
}

/// Deletes what a pool has learned of how often this user asks. What it has counted of all its painters together names nobody.
async fn habits(cloud: &Cloud, id: &HazardOf, user: &UserId) -> Result<(), StoreError> {
    on_conflict!({
        let Some(mut hazard) = cloud.store.get_readable(id).await? else {
            return Ok(());
        };
        let before = hazard.painters.len();
        hazard.painters.retain(|painter| painter.user != *user);
        if hazard.painters.len() == before {
            return Ok(());
        }
        cloud.store.commit([Write::put(&mut hazard)?]).await
    })
}

async fn note(cloud: &Cloud, user: &UserId, tasks: usize, now: Millis) -> Result<()> {
    let line = by(now).did(
        "erase",
        &format!("user {user}"),
        &[format!("{tasks} tasks")],
        &["none".to_owned()],
    );
    cloud.store.commit([line.context(TABLES)?]).await.context(TABLES)
}
