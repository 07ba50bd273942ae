//! Making workers and instances agree.

use std::collections::{BTreeMap, BTreeSet};

use cloud::{Cloud, StoreError, chain};
use model::{Millis, Settings, Worker, WorkerId, WorkerState};
use policy::watch::{Converge, InstanceState, converge};
use tasks::runs::{RunError, change_worker, move_worker};
use tracing::{error, info, warn};

use crate::{Fleet, Instance, scale::ScaleError};

/// Compares these workers with what EC2 says and corrects both. Instances of ours that no worker knows are ended. One
/// that cannot be corrected does not keep the others from it; the error comes back at the end. `corrected` counts.
pub async fn converge_all(
    cloud: &Cloud,
    fleet: &Fleet,
    settings: &Settings,
    workers: &[Worker],
    instances: &[Instance],
    corrected: &mut usize,
    now: Millis,
) -> Result<(), ScaleError> {
    let mut by_worker: BTreeMap<&WorkerId, Vec<&Instance>> = BTreeMap::new();
    for instance in instances {
        by_worker.entry(&instance.worker_id).or_default().push(instance);
    }
    let mut over = BTreeSet::new();
    for worker in workers {
        by_worker.entry(&worker.worker_id).or_default();
        if worker.state == WorkerState::Gone {
            over.insert(&worker.worker_id);
        }
    }
    let mut outcome = Ok(());
    for (worker_id, found) in by_worker {
        // A launch that was given up may have gone through after all.
        if over.contains(worker_id) && found.iter().all(|it| it.view.state == InstanceState::Gone) {
            continue;
        }
        match converge_one(cloud, fleet, settings, worker_id, &found, now).await {
            Ok(changed) => *corrected += usize::from(changed),
            Err(problem) => {
                error!(worker.id = %worker_id, error = chain(&problem), "a worker could not be converged");
                outcome = Err(problem);
            }
        }
    }
    outcome
}

/// The same for one worker and the instances that carry its name: there should be one at most. Whether anything was to be
/// corrected.
pub async fn converge_one(
    cloud: &Cloud,
    fleet: &Fleet,
    settings: &Settings,
    worker_id: &WorkerId,
    instances: &[&Instance],
    now: Millis,
) -> Result<bool, ScaleError> {
    let known = match cloud.store.get(worker_id).await {
        // Not as good as unknown: its instance would be ended.
        Err(error @ StoreError::Shape { .. }) => {
            error!(worker.id = %worker_id, error = chain(&error), "a worker cannot be read, and is left alone");
            return Ok(false);
        }
        known => known?,
    };
    let Some(mut worker) = known else {
        for instance in instances {
            terminate(fleet, instance, "an instance that no worker knows").await?;
        }
        return Ok(instances.iter().any(|it| it.view.state != InstanceState::Gone));
    };
    if worker.instance_id.is_none()
        && let Some(instance) = instances.iter().find(|it| it.view.state != InstanceState::Gone)
    {
        // The launch was cut off before its answer was written: adopt what it made.
        let adopted = change_worker::<RunError>(cloud, worker_id, now, |worker| {
            worker.instance_id = Some(instance.view.instance_id.clone());
            worker.instance_type = Some(instance.instance_type.clone());
            Ok(worker.state != WorkerState::Gone)
        });
        worker = adopted.await?.unwrap_or(worker);
    }
    let mine = instances
        .iter()
        .find(|it| Some(&it.view.instance_id) == worker.instance_id.as_ref());
    for other in instances
        .iter()
        .filter(|it| Some(&it.view.instance_id) != worker.instance_id.as_ref())
    {
        terminate(fleet, other, "a second instance of one worker").await?;
    }
    if let Some(instance) = mine
        && (instance.old_image != worker.old_image || worker.missing_since.is_some())
    {
        let noted = change_worker::<RunError>(cloud, worker_id, now, |worker| {
            worker.old_image = instance.old_image;
            worker.missing_since = None;
            Ok(true)
        });
        worker = noted.await?.unwrap_or(worker);
    }
    let view = mine.map(|it| &it.view);
    let step = converge(&worker, view, settings, now);
    if step != Converge::Leave {
        info!(worker.id = %worker_id, worker.state = ?worker.state, step = ?step, "converging");
    }
    let unchanged = |it: &Worker| it.state == worker.state && it.last_seen == worker.last_seen;
    match (step, mine) {
        (Converge::Leave, _) => {}
        (Converge::Miss, _) => {
            change_worker::<RunError>(cloud, worker_id, now, |worker| {
                worker.missing_since = Some(now);
                Ok(true)
            })
            .await?;
        }
        (Converge::Become(to), _) => drop(move_worker(cloud, worker_id, to, now, unchanged).await?),
        (Converge::Stop, Some(instance)) => {
            // A failed worker may have begun again in between.
            let still = worker.state != WorkerState::Failed
                || move_worker(cloud, worker_id, WorkerState::Stopping, now, unchanged)
                    .await?
                    .is_some();
            if still {
                fleet.stop(&instance.view.instance_id).await?;
            }
        }
        (Converge::Terminate, Some(instance)) => {
            terminate(fleet, instance, "a worker that failed again").await?;
            move_worker(cloud, worker_id, WorkerState::Gone, now, unchanged).await?;
        }
        (Converge::Stop | Converge::Terminate, None) => {}
    }
    Ok(step != Converge::Leave)
}

async fn terminate(fleet: &Fleet, instance: &Instance, why: &str) -> Result<(), StoreError> {
    if instance.view.state == InstanceState::Gone {
        return Ok(());
    }
    warn!(instance.id = %instance.view.instance_id, worker.id = %instance.worker_id, why, "terminating");
    if let Err(error) = fleet.terminate(&instance.view.instance_id).await {
        // The next tick tries again.
        warn!(instance.id = %instance.view.instance_id, error = chain(&error), "not terminated");
    }
    Ok(())
}
