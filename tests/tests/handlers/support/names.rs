//! Who and what the golden events speak of.

use std::time::Duration;

use model::{InstanceId, Millis, RunId, TaskId, WorkerId};

/// 1 September 2026, noon: the time of the golden events.
pub(crate) const NOW: Millis = Millis(1_788_264_000_000);
/// The painter of the golden events.
pub(crate) const MARA: &str = "mara";
/// Another painter of the same team.
pub(crate) const OTHER: &str = "noor";
pub(crate) const TEAM: &str = "studio";
pub(crate) const POOL: &str = "default";
/// The task, run, worker and instance of the golden events.
pub(crate) const TASK: &str = "01a05cd7-2a00-7000-8000-0000000000a1";
pub(crate) const RUN: &str = "01a05cd7-2a00-7000-8000-0000000000b1";
pub(crate) const WORKER: &str = "w-01a05cd72a0070008000000000000001";
pub(crate) const INSTANCE: &str = "i-0a1b2c3d4e5f60718";
/// Another worker.
pub(crate) const WORKER_2: &str = "w-01a05cd72a0070008000000000000002";
/// The worker's WebSocket, and the painter's, of the golden events.
pub(crate) const WORKER_SOCKET: &str = "fJ8yQeV1IAMCHnw=";
pub(crate) const PAINTER_SOCKET: &str = "fJ8xKdvLoAMCE6A=";
/// The object that the captured request 02 names.
pub(crate) const UPLOAD: &str = "uploads/mara/53504135d9f54c03837a7f17b7904c9e";

pub(super) const AUDIENCE: &str = "atelier";
pub(super) const ROLE_ARN: &str = "arn:aws:iam::123456789012:role/atelier-worker";

pub(crate) const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

pub(crate) fn task_id() -> TaskId {
    TASK.parse().unwrap()
}

pub(crate) fn run_id() -> RunId {
    RUN.parse().unwrap()
}

pub(crate) fn worker_id() -> WorkerId {
    WorkerId::new(WORKER)
}

pub(crate) fn instance_id() -> InstanceId {
    InstanceId::new(INSTANCE)
}
