//! What the minute tick makes of a single task or worker: expiry, lost runs, silence.

use model::{BacklogEntry, CancelCause, InstanceId, Lane, Millis, Settings, Task, TaskState, Worker, WorkerState};
use serde::Serialize;

/// Why a task should end now, if it should.
pub fn expiry(task: &Task, settings: &Settings, now: Millis) -> Option<CancelCause> {
    if task.state.is_terminal() || task.state == TaskState::Canceling {
        return None;
    }
    let gone =
        task.state == TaskState::Queued && task.lane != Lane::Batch && now.since(task.seen_at) >= settings.owner_gone;
    (gone || now >= task.expires_at).then_some(CancelCause::Expired)
}

/// The same by what the backlog shows: whether a consistent look is due.
pub fn may_expire(entry: &BacklogEntry, settings: &Settings, now: Millis) -> bool {
    let gone = entry.lane != Lane::Batch && now.since(entry.seen_at) >= settings.owner_gone;
    gone || now >= entry.expires_at
}

/// Whether the task's run counts as lost: its lease ran out, or its deadline passed and the worker said nothing for a
/// lease's time after it.
pub fn run_lost(task: &Task, settings: &Settings, now: Millis) -> bool {
    task.run
        .as_ref()
        .is_some_and(|run| now > run.lease_until || now > run.deadline + settings.lease)
}

/// Minutes between two looks for tasks that are over and have no record: each look is a few reads, which find nothing but once
/// in a blue moon.
const RECORDS: u64 = 10;

/// Whether this minute's tick looks for such tasks.
pub const fn offers_records(now: Millis) -> bool {
    now.seconds() / 60 % RECORDS == RECORDS - 1
}

/// What EC2 says about an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceView {
    /// Which instance.
    pub instance_id: InstanceId,
    /// Its power state.
    pub state: InstanceState,
}

/// EC2's power states, as far as they matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// `pending` or `running`.
    Up,
    /// `stopping`.
    Stopping,
    /// `stopped`.
    Stopped,
    /// `shutting-down` or `terminated`, or unknown to EC2.
    Gone,
}

/// What to do with a worker so that it and its instance agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Converge {
    /// Nothing.
    Leave,
    /// Write this state.
    Become(WorkerState),
    /// Note that EC2 does not show the instance.
    Miss,
    /// Ask EC2 to stop the instance (again), then write `stopping`.
    Stop,
    /// Ask EC2 to terminate the instance.
    Terminate,
}

/// After this many failures in a row an instance is terminated instead of stopped.
pub const FAILURES_BEFORE_TERMINATE: u32 = 2;

/// Least time before a missing instance counts: EC2's descriptions lag behind a launch.
const LAUNCH_GRACE: std::time::Duration = std::time::Duration::from_mins(1);

/// How long EC2 may leave an instance out of its descriptions, which are eventually consistent.
const MISSING: std::time::Duration = std::time::Duration::from_mins(3);

/// Within this time …
const BEGINNINGS_WITHIN: std::time::Duration = std::time::Duration::from_hours(1);
/// … a worker's process may begin so often.
const BEGINNINGS: usize = 10;

/// Notes that the worker's process begins. False: so often that the worker is of no use.
#[must_use]
pub fn may_begin(worker: &mut Worker, now: Millis) -> bool {
    worker.begun.retain(|at| now.since(*at) < BEGINNINGS_WITHIN);
    worker.begun.push(now);
    worker.begun.len() <= BEGINNINGS
}

/// How long a stopped instance is kept that found no capacity when it was last started: its disk is paid for.
const SPARE_LIFE: std::time::Duration = std::time::Duration::from_hours(24);

/// Compares a worker with its instance; `None` if EC2 does not show one. `now` is from before EC2 was asked.
pub fn converge(worker: &Worker, instance: Option<&InstanceView>, settings: &Settings, now: Millis) -> Converge {
    use WorkerState::{Booting, Failed, Gone, Launching, Starting, Stopped, Stopping};
    if worker.state_since > now {
        // Somebody moved the worker after EC2 was asked: what was seen may be older than the state.
        return Converge::Leave;
    }
    let since = now.since(worker.state_since);
    let Some(power) = instance.map(|instance| instance.state) else {
        // EC2 shows an ended instance for an hour, so this one ended long ago or is too young to be shown.
        return match worker.missing_since {
            _ if worker.state == Gone || since < LAUNCH_GRACE => Converge::Leave,
            // Nobody has ever seen one.
            _ if worker.instance_id.is_none() => Converge::Become(Gone),
            None => Converge::Miss,
            Some(missing) if now.since(missing) < MISSING => Converge::Leave,
            Some(_) => Converge::Become(Gone),
        };
    };
    match (worker.state, power) {
        // One of the newest machine image takes its place.
        (Stopped, InstanceState::Stopped) | (Failed, InstanceState::Up) if worker.is_outdated() => Converge::Terminate,
        // It goes away by itself as often as it is started: a new one may do better.
        (Stopped, InstanceState::Stopped) if worker.failures >= FAILURES_BEFORE_TERMINATE => Converge::Terminate,
        // Nor does one that could not be started for so long that others took its place.
        (Stopped, InstanceState::Stopped) if worker.no_capacity_at.is_some() && since >= SPARE_LIFE => {
            Converge::Terminate
        }
        (Gone, InstanceState::Gone) | (Stopped, InstanceState::Stopped | InstanceState::Stopping) => Converge::Leave,
        (Gone, _) => Converge::Terminate,
        (_, InstanceState::Gone) => Converge::Become(Gone),
        // A start that EC2 has not begun yet still shows the old state.
        (Starting, InstanceState::Stopped | InstanceState::Stopping) if since < LAUNCH_GRACE => Converge::Leave,
        (_, InstanceState::Stopped) => Converge::Become(Stopped),
        (_, InstanceState::Stopping) => Converge::Leave,
        (Launching | Starting, InstanceState::Up) => Converge::Become(Booting),
        // An instance that runs although it should not: stop it, as often as it takes.
        (Stopped | Stopping, InstanceState::Up) => Converge::Stop,
        (Failed, InstanceState::Up) if worker.failures >= FAILURES_BEFORE_TERMINATE => Converge::Terminate,
        (Failed, InstanceState::Up) => Converge::Stop,
        (Booting, InstanceState::Up) if since >= settings.boot_limit => Converge::Become(Failed),
        (WorkerState::Warming, InstanceState::Up) if since >= settings.boot_limit => Converge::Become(Failed),
        (WorkerState::Warming | WorkerState::Ready | WorkerState::Busy | WorkerState::Draining, InstanceState::Up)
            if now.since(worker.last_seen) >= settings.worker_silent =>
        {
            Converge::Become(Failed)
        }
        _ => Converge::Leave,
    }
}
