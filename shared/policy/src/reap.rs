//! When an idle worker stops: drain first, look again one tick later, then stop.

use model::{Worker, WorkerId, WorkerState};
use serde::Serialize;

use crate::PoolSnapshot;

/// What to do with one worker, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReapStep {
    /// Which worker.
    pub worker_id: WorkerId,
    /// What.
    pub action: ReapAction,
    /// In words, for the log.
    pub reason: &'static str,
}

/// A step of scale-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReapAction {
    /// `ready → draining`.
    Drain,
    /// `draining → ready`: it is needed after all.
    Undrain,
    /// `draining → stopping`, then stop the instance.
    Stop,
}

/// The plain rule: [`model::Settings::idle_stop`] without a run, and a GPU that is quiet or unknown.
///
/// Break-even stops, presence and the forecast come with the scheduling issue, behind this signature.
pub fn plan(snapshot: &PoolSnapshot<'_>) -> Vec<ReapStep> {
    snapshot
        .workers
        .iter()
        .filter_map(|worker| step(worker, snapshot))
        .collect()
}

/// The step for one worker. Called again on a consistent read of the worker before the step is committed.
pub fn step(worker: &Worker, snapshot: &PoolSnapshot<'_>) -> Option<ReapStep> {
    let PoolSnapshot { settings, now, .. } = *snapshot;
    let wanted = snapshot.wanted().next().is_some();
    let quiet = worker.gpu.is_none_or(|gpu| gpu.percent < settings.gpu_quiet_percent);
    let (action, reason) = match worker.state {
        WorkerState::Ready if worker.run.is_none() && !wanted && quiet => {
            let idle = now.since(worker.idle_since.unwrap_or(now));
            (idle >= settings.idle_stop).then_some((ReapAction::Drain, "idle with a quiet GPU"))?
        }
        WorkerState::Draining if wanted => (ReapAction::Undrain, "work arrived"),
        WorkerState::Draining if worker.run.is_some() => return None,
        WorkerState::Draining if !quiet => (ReapAction::Undrain, "the GPU is busy"),
        WorkerState::Draining if now.since(worker.state_since) >= settings.drain_confirm => {
            (ReapAction::Stop, "still idle on the second look")
        }
        _ => return None,
    };
    Some(ReapStep {
        worker_id: worker.worker_id.clone(),
        action,
        reason,
    })
}
