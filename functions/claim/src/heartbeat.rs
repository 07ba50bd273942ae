//! A worker says that it lives; it is told what is true.

use std::sync::Arc;

use accounts::Caller;
use axum::extract::State;
use cloud::{
    StoreError, Write, chain,
    http::{HttpError, Json, Now, PathId},
    metrics, on_conflict,
    tables::{Backlog, NodesOf},
};
use model::{
    Millis, PoolNodes, Task, TaskState, Worker, WorkerId, WorkerState,
    metrics::{COMFYUI_RESTARTS, DAMAGED_FILES, STARTS},
    worker_api::{FileOffer, Heartbeat, HeartbeatReply, RunProgress},
};
use policy::measure;
use tasks::{learn, notify::tell_owner, runs::outcome};
use tracing::{error, warn};
use workflow::optional_node;

use crate::{App, MAX_NAME, assign::is_old, calling, earlier, offers};

/// Longest reason logged, characters: a machine may say anything.
const MAX_REASON: usize = 200;

/// Most damaged files that one heartbeat is believed.
const DAMAGED: usize = 16;

/// Most model names kept: what fits into a GPU is few.
const MODELS: usize = 8;

/// Most files on disk kept: 64 of 7 GB are more than most disks hold.
const ON_DISK: usize = 64;

/// Most files kept of the file system that the machines share: the ones that are used.
const ON_SHARED: usize = 256;

/// A worker says that it lives, and is told what is true.
#[utoipa::path(
    post, path = "/v1/workers/{id}/heartbeat", tag = "workers", params(("id" = String, Path)),
    request_body = Heartbeat,
    responses((status = 200, body = HeartbeatReply))
)]
pub(crate) async fn heartbeat(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    PathId(id): PathId<WorkerId>,
    Json(beat): Json<Heartbeat>,
) -> Result<Json<HeartbeatReply>, HttpError> {
    let known = calling(&app, &caller, &id).await?;
    let before = known.state;
    let (worker, came_up) = note(&app, &caller, known, &beat, now).await?;
    shown(&worker, before, came_up, &beat, now);
    if let Some(reason) = beat.sick.as_ref().filter(|_| worker.state != before) {
        let reason = plain(reason, MAX_REASON);
        error!(worker.id = %worker.worker_id, pool = %worker.pool, reason, "a machine says that it is of no use; it is replaced");
    }
    if came_up {
        learn::started(&app.cloud.store, &worker, now).await;
    }
    let mut answer = HeartbeatReply {
        drain: matches!(
            worker.state,
            WorkerState::Draining | WorkerState::Stopping | WorkerState::Failed
        ),
        ..HeartbeatReply::default()
    };
    match (beat.run, worker.run) {
        (Some(said), Some(held)) if said.run_id == held.run_id => {
            let task = renew(&app, &held.task_id, said, now).await?;
            answer.run_lost = task.is_none();
            answer.cancel = task.is_some_and(|task| task.state == TaskState::Canceling);
            if !is_old(&worker) {
                answer.files = ahead(&app, &worker, &beat, now).await;
            }
        }
        (Some(_), _) => answer.run_lost = true,
        // The answer to its claim was lost: the claim is answered with the same run again.
        (None, Some(_)) => answer.work = true,
        (None, None) if worker.state == WorkerState::Ready => {
            answer.work = !app.cloud.store.list(Backlog(&worker.pool, 1)).await?.is_empty();
        }
        (None, None) => {}
    }
    let half = app.settings.worker_token / 2;
    if now.since(Millis(caller.iat.saturating_mul(1000))) >= half {
        let token = app.signer.worker(&worker, now, app.settings.worker_token);
        answer.token = Some(token.map_err(HttpError::unavailable)?);
    }
    Ok(Json(answer))
}

/// What the machine says of itself, and how it came up, as metrics.
fn shown(worker: &Worker, before: WorkerState, came_up: bool, beat: &Heartbeat, now: Millis) {
    let mut found = measure::machine(&worker.pool, beat.gpu, beat.host);
    if came_up {
        found.push(STARTS.sample(["came_up"], 1.0));
    }
    if worker.boot.is_some_and(|boot| boot.at == now) {
        found.extend(measure::boot(worker));
    }
    if before == WorkerState::Ready && worker.state == WorkerState::Warming {
        found.push(COMFYUI_RESTARTS.of(1.0));
    }
    for damaged in beat.damaged.iter().take(DAMAGED) {
        let (file, from) = (plain(&damaged.file, MAX_NAME), damaged.from.word());
        error!(worker.id = %worker.worker_id, pool = %worker.pool, file, from, "a model file was damaged; the machine fetches it anew");
        found.push(DAMAGED_FILES.sample([from], 1.0));
    }
    let kind = worker.instance_type.as_deref().unwrap_or_default();
    metrics::note(
        found,
        &[
            ("worker.id", &worker.worker_id),
            ("pool", &worker.pool),
            ("instance.type", &kind),
        ],
    );
}

/// What may be logged of a text that a machine says.
fn plain(text: &str, most: usize) -> String {
    text.chars().filter(|it| !it.is_control()).take(most).collect()
}

/// Without this word a file is fetched when its task is: no reason to leave a heartbeat without an answer.
async fn ahead(app: &App, worker: &Worker, beat: &Heartbeat, now: Millis) -> Vec<FileOffer> {
    offers::ahead(app, worker, beat, now).await.unwrap_or_else(|error| {
        warn!(worker.id = %worker.worker_id, error = chain(&error), "what comes next could not be looked at");
        Vec::new()
    })
}

async fn note(
    app: &App,
    caller: &Caller,
    known: Worker,
    beat: &Heartbeat,
    now: Millis,
) -> Result<(Worker, bool), HttpError> {
    let worker_id = known.worker_id.clone();
    let mut known = Some(known);
    on_conflict!({
        let worker = match known.take() {
            Some(known) => Some(known),
            None => app.cloud.store.get(&worker_id).await?,
        };
        // A new process may have registered in between: it is not ready because the old one was.
        let worker = worker.filter(|worker| Some(worker.generation) == caller.generation);
        let mut worker = worker.ok_or_else(earlier)?;
        worker.heard(now);
        worker.gpu = beat.gpu;
        let hot = beat
            .gpu
            .and_then(|gpu| gpu.percent)
            .is_some_and(|percent| percent > app.settings.hot_percent);
        worker.hot_since = if hot { worker.hot_since.or(Some(now)) } else { None };
        // A worker of the protocol before says only which files it has loaded, the main ones among them.
        let main = if beat.main_models.is_empty() {
            &beat.models
        } else {
            &beat.main_models
        };
        worker.models = main
            .iter()
            .filter(|it| it.len() <= MAX_NAME)
            .take(MODELS)
            .cloned()
            .collect();
        let is_mark = |it: &&String| it.len() == 8 && it.bytes().all(|byte| byte.is_ascii_hexdigit());
        worker.on_disk = beat.on_disk.iter().filter(is_mark).take(ON_DISK).cloned().collect();
        worker.on_shared = beat.on_shared.iter().filter(is_mark).take(ON_SHARED).cloned().collect();
        let before = worker.state;
        let next = match (before, beat.ready) {
            (WorkerState::Warming | WorkerState::Ready, _) if beat.sick.is_some() => Some(WorkerState::Failed),
            (WorkerState::Warming, true) => Some(WorkerState::Ready),
            // Its ComfyUI is down: it is no capacity until it has warmed up again.
            (WorkerState::Ready, false) => Some(WorkerState::Warming),
            _ => None,
        };
        if let Some(next) = next {
            // Cannot fail: these edges exist.
            let _ = worker.become_state(next, now);
        }
        if let Some(times) = beat.boot.filter(|_| before == WorkerState::Warming && beat.ready) {
            worker.booted(times, now);
        }
        let mut writes = Vec::from_iter(outcome(&app.cloud, before, &mut worker, now).await?);
        let came_up = !writes.is_empty() && worker.state == WorkerState::Ready;
        if beat.ready {
            writes.extend(note_nodes(app, &mut worker, beat).await?);
        }
        writes.push(Write::put(&mut worker)?);
        app.cloud.store.commit_all(&writes).await?;
        Ok((worker, came_up))
    })
}

/// Notes which nodes the worker has, where that is news; also for its pool, if it is news there. Only known names are kept,
/// whatever a machine says.
async fn note_nodes(app: &App, worker: &mut Worker, beat: &Heartbeat) -> Result<Option<Write>, StoreError> {
    let mut nodes = beat.nodes.clone();
    nodes.retain(|node| optional_node(node).is_some());
    nodes.sort_unstable();
    nodes.dedup();
    if worker.nodes.as_ref() == Some(&nodes) {
        return Ok(None);
    }
    worker.nodes = Some(nodes.clone());
    let known = app.cloud.store.get(&NodesOf(worker.pool.clone())).await?;
    let mut of_pool = known.unwrap_or_else(|| PoolNodes {
        pool: worker.pool.clone(),
        version: 0,
        nodes: vec![],
    });
    if of_pool.version > 0 && of_pool.nodes == nodes {
        return Ok(None);
    }
    of_pool.nodes = nodes;
    Write::put(&mut of_pool).map(Some)
}

/// Renews the lease and takes the progress; none if the run does not hold the task any more.
async fn renew(app: &App, task_id: &model::TaskId, said: RunProgress, now: Millis) -> Result<Option<Task>, HttpError> {
    let renewed = on_conflict!({
        let Some(mut task) = app.cloud.store.get(task_id).await? else {
            return Ok(None);
        };
        let Ok(run) = task.run_mut(said.run_id) else {
            return Ok(None);
        };
        run.lease_until = now + app.settings.lease;
        let moved = task.take_progress(said.run_id, said.seq, said.value).unwrap_or(false);
        app.cloud.store.commit([Write::put(&mut task)?]).await?;
        Ok::<_, StoreError>(Some((task, moved)))
    })?;
    let Some((task, moved)) = renewed else { return Ok(None) };
    if moved {
        tell_owner(&app.cloud, &task, None).await;
    }
    Ok(Some(task))
}
