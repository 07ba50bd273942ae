//! Files of the studio's store that a worker should have before anybody waits for them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use catalog::Models;
use cloud::{
    chain,
    http::HttpError,
    tables::{Backlog, CatalogOf, PaceOf},
};
use model::{
    CatalogEntry, Millis, PoolId, TaskId, TeamId, Worker,
    worker_api::{FileOffer, Heartbeat, ModelFile},
};
use policy::demand::most_wanted;
use serde_json::Value;
use tasks::{bodies, demand::next_hour};
use tracing::warn;

use crate::{App, assign::estimates};

/// Most files that are offered beside those of the warm-up.
const USUAL: usize = 6;
/// Most teams whose catalogues are read for that.
const TEAMS: usize = 4;
/// How many of the next tasks in line are looked at, and how far down the line for them.
const NEXT: usize = 2;
const LOOK_AHEAD: u32 = 8;

/// Most tasks whose files are remembered.
const REMEMBERED: usize = 200;

/// Which files of the studio's store tasks need, as far as this process has read it: a body never changes, and a worker that
/// renders asks every few seconds.
#[derive(Debug, Default)]
pub struct Needs(Mutex<BTreeMap<TaskId, Arc<Vec<ModelFile>>>>);

impl Needs {
    async fn of(&self, app: &App, task: TaskId) -> Result<Arc<Vec<ModelFile>>, HttpError> {
        if let Some(known) = self.known().get(&task) {
            return Ok(Arc::clone(known));
        }
        let body = bodies::read(&app.cloud.store, task).await?;
        let files = Arc::new(body.models.into_iter().chain(body.loras).collect::<Vec<_>>());
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            // The oldest: their names rise with time.
            known.pop_first();
        }
        known.insert(task, Arc::clone(&files));
        Ok(files)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<TaskId, Arc<Vec<ModelFile>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a machine begins with.
#[derive(Debug, Default)]
pub(crate) struct First {
    /// The plan that loads the model that is wanted most.
    pub(crate) plan: Option<Value>,
    /// Its files, then those of the other usual models.
    pub(crate) files: Vec<FileOffer>,
}

/// What a machine of this pool begins with: what its painters ask for, and without them what the pool's settings name. It is
/// a hint: a machine that begins with nothing is better than none.
pub(crate) async fn first(app: &App, pool: &PoolId, now: Millis) -> First {
    wanted_first(app, pool, now).await.unwrap_or_else(|error| {
        warn!(%pool, error = chain(&error), "what a machine should begin with is not known");
        First::default()
    })
}

async fn wanted_first(app: &App, pool: &PoolId, now: Millis) -> Result<First, HttpError> {
    let store = &app.cloud.store;
    let pace = PaceOf(pool.clone());
    let hour = async { Ok(next_hour(store, pool, now).await) };
    let (set, pace, hour) = tokio::try_join!(store.get(pool), store.get(&pace), hour)?;
    let named = set.and_then(|pool| pool.warm_up);
    let demand = pace.map(|it| it.estimates.demand).unwrap_or_default();
    // What this hour of the day asks for, then what was asked for lately.
    let mut wanted: Vec<_> = hour.iter().flat_map(|it| &it.models).map(String::as_str).collect();
    for model in most_wanted(&demand, now) {
        if !wanted.contains(&model) {
            wanted.push(model);
        }
    }
    if wanted.is_empty() && named.is_none() {
        return Ok(First::default());
    }
    let teams: BTreeSet<_> = wanted.iter().filter_map(|file| ModelFile::team(file)).collect();
    let shared = TeamId::new(CatalogEntry::SHARED);
    let others = teams.into_iter().filter(|team| *team != shared).take(TEAMS);
    let mut entries = store.list(CatalogOf(shared.as_str())).await?;
    let everybodys = Models::of(&entries);
    for team in others {
        entries.append(&mut store.list(CatalogOf(team.as_str())).await?);
    }
    // Here a file counts, not a name: one name may be several teams', and an older version be pinned.
    let of_file = |file: &str| entries.iter().find(|it| it.file == file && it.deleted.is_none());
    let wanted: Vec<_> = wanted.iter().filter_map(|file| of_file(file)).collect();
    let checkpoint = |entry: &&CatalogEntry| {
        let of_one = catalog::assemble(std::slice::from_ref(*entry));
        of_one.checkpoints.into_values().next()
    };
    let named = named.and_then(|name| everybodys.inventory.checkpoint(&name).cloned());
    let most = wanted.iter().find_map(checkpoint).or(named);
    let plan = most.map(|it| workflow::warm_up(&it, now.0 & 0xffff_ffff));
    let all = Models::of(&entries);
    let mut files: Vec<&ModelFile> = Vec::new();
    if let Some(plan) = &plan {
        files.extend(plan.models.iter().filter_map(|file| all.file(file)));
    }
    for file in wanted.iter().filter_map(|it| all.file(&it.file)).take(USUAL) {
        if files.iter().all(|it| it.file != file.file) {
            files.push(file);
        }
    }
    let plan = plan.map(serde_json::to_value).transpose();
    Ok(First {
        plan: plan.map_err(HttpError::unavailable)?,
        files: offer(app, files.into_iter().cloned()).await?,
    })
}

/// What the next tasks in line need and the worker's disk does not hold.
pub(crate) async fn ahead(
    app: &App,
    worker: &Worker,
    beat: &Heartbeat,
    now: Millis,
) -> Result<Vec<FileOffer>, HttpError> {
    let has = |file: &str| ModelFile::mark(file).is_none_or(|mark| beat.on_disk.iter().any(|it| it == mark));
    let backlog = app.cloud.store.list(Backlog(&worker.pool, LOOK_AHEAD)).await?;
    if backlog.is_empty() {
        return Ok(Vec::new());
    }
    let estimates = estimates(app, &worker.pool).await?;
    let order = policy::claim::choose(&backlog, worker, &estimates, &app.settings, now);
    let next = order
        .iter()
        .take(NEXT)
        .filter_map(|id| backlog.iter().find(|it| it.task_id == *id));
    let mut files: Vec<ModelFile> = Vec::new();
    for entry in next {
        for file in app.needs.of(app, entry.task_id).await?.iter() {
            if !has(&file.file) && files.iter().all(|it| it.file != file.file) {
                files.push(file.clone());
            }
        }
    }
    offer(app, files.into_iter()).await
}

async fn offer(app: &App, files: impl Iterator<Item = ModelFile>) -> Result<Vec<FileOffer>, HttpError> {
    let mut offers = Vec::new();
    for file in files {
        let url = app.cloud.models.presign_get(&file.key, app.settings.url_life).await?;
        offers.push(FileOffer { file, url });
    }
    Ok(offers)
}
