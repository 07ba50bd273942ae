use cloud::Cloud;
use futures_util::future::{join_all, try_join_all};
use model::{Task, TaskState, Worker, metrics::PREEMPTIONS, socket::ServerMessage};
use policy::{
    PoolSnapshot,
    preempt::{self, Preemption},
    run,
};

use super::{Ended, RunError, end::end_run_if};
use crate::notify::{tell_owner, tell_worker};

/// Takes batch runs back for those who wait at the canvas while nobody is free. Their tasks wait again; the answer to a worker's report
/// is its next run.
pub async fn preempt(cloud: &Cloud, snapshot: &PoolSnapshot<'_>) -> Result<(), RunError> {
    let mut waiting = preempt::waiting(snapshot);
    let busy = snapshot.workers.iter().filter(|it| preempt::may_be_taken(it, snapshot));
    let runs: Vec<_> = busy.filter_map(|worker| worker.run).collect();
    waiting.truncate(runs.len());
    if waiting.is_empty() {
        return Ok(());
    }
    // The index may show those that were claimed a moment ago.
    let (waits, running) = tokio::try_join!(
        try_join_all(waiting.iter().map(|entry| cloud.store.get_readable(&entry.task_id))),
        try_join_all(runs.iter().map(|run| cloud.store.get_readable(&run.task_id)))
    )?;
    let queued = |task: Option<Task>| task.is_some_and(|task| task.state == TaskState::Queued);
    let mut waits = waits.into_iter().map(queued);
    waiting.retain(|_| waits.next().unwrap_or(false));
    let running: Vec<_> = running.into_iter().flatten().collect();
    let chosen = preempt::choose(&waiting, &running, snapshot);
    for taken in join_all(chosen.iter().map(|it| take_back(cloud, snapshot, *it))).await {
        match taken {
            // It ended by itself, or somebody else ended it.
            Ok(()) | Err(RunError::Refused(_) | RunError::NoTask | RunError::Changed) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn take_back(cloud: &Cloud, snapshot: &PoolSnapshot<'_>, taken: Preemption) -> Result<(), RunError> {
    let Preemption {
        task_id,
        run_id,
        start_tag,
    } = taken;
    let still = |task: &Task| task.state == TaskState::Running;
    let end =
        |task: &mut Task, worker: Option<&mut Worker>| run::preempted(task, worker, run_id, start_tag, snapshot.now);
    let ended = end_run_if(cloud, task_id, run_id, None, still, end, |_, _| Ok(None)).await?;
    let Ended { task, worker, .. } = &ended;
    cloud::metrics::note([PREEMPTIONS.of(1.0)], &[("task.id", &task_id), ("pool", &task.pool)]);
    let worker_told = async {
        if let Some(worker) = worker {
            tell_worker(cloud, worker, &ServerMessage::Cancel { run_id }).await;
        }
    };
    let note = "Somebody at the canvas comes first; the picture starts again.";
    tokio::join!(worker_told, tell_owner(cloud, task, Some(note)));
    Ok(())
}
