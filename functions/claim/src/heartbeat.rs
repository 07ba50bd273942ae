//! A worker says that it lives; it is told what is true.

use cloud::{
    StoreError, Write,
    http::{Caller, HttpError, Reply, reply},
    notify::tell_owner,
    retry::on_conflict,
    runs::outcome,
    tables::{Backlog, NodesOf},
};
use model::{
    Millis, PoolNodes, Task, TaskState, Worker, WorkerId, WorkerState,
    worker_api::{Heartbeat, HeartbeatReply, RunProgress},
};

use workflow::optional_node;

use crate::{App, learn};

/// Most model names kept: what fits into a GPU is few.
const MODELS: usize = 8;

pub(crate) async fn heartbeat(
    app: &App,
    caller: &Caller,
    worker_id: &WorkerId,
    beat: &Heartbeat,
    now: Millis,
) -> Reply {
    let (worker, came_up) = note(app, caller, worker_id, beat, now).await?;
    if came_up {
        learn::started(app, &worker, now).await;
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
            let task = renew(app, &held.task_id, said, now).await?;
            answer.run_lost = task.is_none();
            answer.cancel = task.is_some_and(|task| task.state == TaskState::Canceling);
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
    reply(200, &answer)
}

async fn note(
    app: &App,
    caller: &Caller,
    worker_id: &WorkerId,
    beat: &Heartbeat,
    now: Millis,
) -> Result<(Worker, bool), HttpError> {
    on_conflict(async || {
        let worker = app.cloud.store.get(worker_id).await?;
        // A new process may have registered in between: it is not ready because the old one was.
        let worker = worker.filter(|worker| Some(worker.generation) == caller.generation);
        let mut worker =
            worker.ok_or_else(|| HttpError::new(401, "Register again: this token is an earlier process's."))?;
        worker.last_seen = now;
        worker.gpu = beat.gpu;
        let hot = beat.gpu.is_some_and(|gpu| gpu.percent > app.settings.hot_percent);
        worker.hot_since = if hot { worker.hot_since.or(Some(now)) } else { None };
        worker.models = beat.models.iter().take(MODELS).cloned().collect();
        let before = worker.state;
        let next = match (before, beat.ready) {
            (WorkerState::Warming, true) => Some(WorkerState::Ready),
            // Its ComfyUI is down: it is no capacity until it has warmed up again.
            (WorkerState::Ready, false) => Some(WorkerState::Warming),
            _ => None,
        };
        if let Some(next) = next {
            // Cannot fail: both edges exist.
            let _ = worker.become_state(next, now);
        }
        let mut writes = Vec::from_iter(outcome(&app.cloud, before, &mut worker, now).await?);
        let came_up = !writes.is_empty();
        if beat.ready {
            writes.extend(note_nodes(app, &mut worker, beat).await?);
        }
        writes.push(Write::put(&mut worker)?);
        app.cloud.store.commit_all(&writes).await?;
        Ok((worker, came_up))
    })
    .await
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
    let renewed = on_conflict(async || {
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
    })
    .await?;
    let Some((task, moved)) = renewed else { return Ok(None) };
    if moved {
        tell_owner(&app.cloud, &task, None).await;
    }
    Ok(Some(task))
}
