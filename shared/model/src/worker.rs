//! A GPU instance's agent and its state machine.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ConnectionId, InstanceId, Millis, PoolId, RunId, TaskId, TeamId, WorkerId};

/// Where a worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// A launch was decided; there may be no instance yet.
    Launching,
    /// The instance runs; its agent has not registered.
    Booting,
    /// Registered; the warm-up graph has not finished.
    Warming,
    /// May claim.
    Ready,
    /// Renders.
    Busy,
    /// Takes no new work; stops unless somebody needs it.
    Draining,
    /// A stop is committed.
    Stopping,
    /// The instance is stopped and can be started again.
    Stopped,
    /// A start was decided.
    Starting,
    /// Did not come up, or fell silent: is stopped by `lifecycle`.
    Failed,
    /// The instance is no more.
    Gone,
}

impl WorkerState {
    /// Every state, for tables and tests.
    pub const ALL: [Self; 11] = [
        Self::Launching,
        Self::Booting,
        Self::Warming,
        Self::Ready,
        Self::Busy,
        Self::Draining,
        Self::Stopping,
        Self::Stopped,
        Self::Starting,
        Self::Failed,
        Self::Gone,
    ];

    /// Whether the edge from this state to `next` exists. That EC2 can stop or end anything at any time is part of it.
    pub const fn may_become(self, next: Self) -> bool {
        use WorkerState::{
            Booting, Busy, Draining, Failed, Gone, Launching, Ready, Starting, Stopped, Stopping, Warming,
        };
        match (self, next) {
            (Gone, _) | (Stopped, Stopped) => false,
            (_, Stopped | Gone)
            | (Launching | Starting, Booting | Warming | Failed)
            | (Booting | Failed, Warming)
            | (Booting, Failed)
            | (Warming, Warming | Ready | Draining | Failed)
            | (Ready, Warming | Busy | Draining | Failed)
            | (Busy, Warming | Ready | Draining | Failed)
            | (Draining, Warming | Ready | Stopping | Failed)
            | (Stopped, Starting)
            | (Failed, Stopping) => true,
            _ => false,
        }
    }

    /// Whether the worker will take work, now or soon.
    pub const fn is_coming(self) -> bool {
        matches!(self, Self::Launching | Self::Starting | Self::Booting | Self::Warming)
    }

    /// Whether the worker's instance is (about to be) paid for.
    pub const fn is_up(self) -> bool {
        !matches!(self, Self::Stopped | Self::Gone)
    }
}

/// The run that a worker holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRef {
    /// Which task.
    pub task_id: TaskId,
    /// Which attempt.
    pub run_id: RunId,
}

/// What a worker measures of its GPU. Each field by itself: a part of a GPU (MIG) has memory, but no utilisation.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GpuUse {
    /// Utilisation, percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
    /// Memory in use, MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vram_used_mib: Option<u64>,
    /// Memory there is, MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vram_total_mib: Option<u64>,
}

/// What a worker measures of its machine beside the GPU.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostUse {
    /// Memory that no program could have, percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ram_percent: Option<u32>,
    /// The disk in use on which its models lie, percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_percent: Option<u32>,
}

/// How long the stages of a machine's boot took, ms, as its worker measured them. Each by itself: a stage that the machine does
/// not have is absent, as a kernel of its own in a container.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BootTimes {
    /// The kernel, until systemd begins.
    #[serde(default, rename = "kernel_ms", skip_serializing_if = "Option::is_none")]
    pub kernel: Option<u64>,
    /// From then until ComfyUI's container is started.
    #[serde(default, rename = "userland_ms", skip_serializing_if = "Option::is_none")]
    pub userland: Option<u64>,
    /// The GPU's driver, until it answers the worker for the first time; beside ComfyUI's.
    #[serde(default, rename = "driver_ms", skip_serializing_if = "Option::is_none")]
    pub driver: Option<u64>,
    /// ComfyUI, from the start of its container (of the worker, where that is not known) until it answers.
    #[serde(default, rename = "comfyui_ms", skip_serializing_if = "Option::is_none")]
    pub comfyui: Option<u64>,
    /// From then until the worker is ready: registering and the warm-up.
    #[serde(default, rename = "warm_up_ms", skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<u64>,
}

impl BootTimes {
    /// The stages in the order in which they end, by name.
    pub const fn stages(&self) -> [(&'static str, Option<u64>); 5] {
        [
            ("kernel", self.kernel),
            ("userland", self.userland),
            ("driver", self.driver),
            ("ComfyUI", self.comfyui),
            ("warm-up", self.warm_up),
        ]
    }

    /// No stage takes longer than an hour, whatever a machine says.
    #[must_use]
    pub fn bounded(self) -> Self {
        const MOST: u64 = 3_600_000;
        let bounded = |time: Option<u64>| time.map(|time| time.min(MOST));
        Self {
            kernel: bounded(self.kernel),
            userland: bounded(self.userland),
            driver: bounded(self.driver),
            comfyui: bounded(self.comfyui),
            warm_up: bounded(self.warm_up),
        }
    }
}

/// A machine has come up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// When its worker was ready.
    pub at: Millis,
    /// From when the machine was asked for, ms.
    #[serde(rename = "total_ms")]
    pub total: u64,
    /// What it was made of.
    pub times: BootTimes,
}

/// A worker: one item of Fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Chosen by us before the launch and tagged on the instance.
    pub worker_id: WorkerId,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// The pool it belongs to.
    pub pool: PoolId,
    /// Where it stands.
    pub state: WorkerState,
    /// Since when it stands there.
    pub state_since: Millis,
    /// When its machine was last asked for: what is paid counts from here.
    #[serde(default)]
    pub up_since: Millis,
    /// Rises at each start and each registration; part of the worker's token.
    pub generation: u32,
    /// Its instance, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<InstanceId>,
    /// EC2 instance type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// The run it holds; also while draining.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunRef>,
    /// Its WebSocket, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionId>,
    /// When it was last heard of.
    #[serde(default)]
    pub last_seen: Millis,
    /// Since when its silence has cost it a run; absent once it is heard of again. Until then nobody counts on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_since: Option<Millis>,
    /// Since when it has had no run and could have had one, or was taken back from draining, whatever process of it has
    /// begun since; absent while it has one, and until its machine is up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_since: Option<Millis>,
    /// When its last run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worked_at: Option<Millis>,
    /// What its GPU does; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuUse>,
    /// Since when its GPU has been at its limit, by [`crate::Settings::hot_percent`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hot_since: Option<Millis>,
    /// The main models (checkpoints, diffusion models) in its VRAM, latest first: few fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// The files of the studio's store that its disk holds, latest used first: of each what [`crate::worker_api::ModelFile::mark`]
    /// says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_disk: Vec<String>,
    /// The same of the file system that the studio's machines share, as far as this one has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_shared: Vec<String>,
    /// Node classes of custom packs that its ComfyUI has; absent until this process has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<String>>,
    /// The team it serves, whose folder its ComfyUI sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
    /// Failures in a row to come up or to stay alive.
    #[serde(default)]
    pub failures: u32,
    /// When its processes of the last hour began, since its machine was started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub begun: Vec<Millis>,
    /// The tasks whose last runs on it failed for a reason of its own, one after the other; a picture that comes ends it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<TaskId>,
    /// Since when EC2 has not shown its instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Millis>,
    /// Whether its pool's breaker has yet to hear what became of its last start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outcome_due: bool,
    /// When its last start found no capacity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_capacity_at: Option<Millis>,
    /// Date of the newest proof of identity used, in seconds; an older or equal one is a replay.
    #[serde(default)]
    pub proof_date: u64,
    /// Version of its machine image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Release of the program that it last registered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Whether its instance has another machine image than one that is launched now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub old_image: bool,
    /// Version of the workers' protocol that its last process spoke; absent until one has registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u32>,
    /// How its machine came up the last time that its worker told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<Boot>,
    /// Since when an operator wants its machine off: it takes no more work, and stops once it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dismissed: Option<Millis>,
    /// When DynamoDB may delete the item, seconds; only of a worker that is no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
}

/// A change of state that must not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a worker that is {from:?} cannot become {to:?}")]
pub struct WorkerEdgeError {
    /// State found.
    pub from: WorkerState,
    /// State wanted.
    pub to: WorkerState,
}

impl Worker {
    /// How long a worker that is no more is remembered, for whoever asks what happened.
    const REMEMBERED: Duration = Duration::from_hours(24);

    /// A worker that is about to be launched.
    pub fn launching(worker_id: WorkerId, pool: PoolId, now: Millis) -> Self {
        Self {
            worker_id,
            version: 0,
            pool,
            state: WorkerState::Launching,
            state_since: now,
            up_since: now,
            generation: 0,
            instance_id: None,
            instance_type: None,
            run: None,
            connection: None,
            last_seen: now,
            silent_since: None,
            idle_since: None,
            worked_at: None,
            gpu: None,
            hot_since: None,
            models: Vec::new(),
            on_disk: Vec::new(),
            on_shared: Vec::new(),
            nodes: None,
            team: None,
            failures: 0,
            begun: Vec::new(),
            failed: Vec::new(),
            missing_since: None,
            outcome_due: true,
            no_capacity_at: None,
            proof_date: 0,
            image: None,
            release: None,
            old_image: false,
            protocol: None,
            boot: None,
            dismissed: None,
            ttl: None,
        }
    }

    /// Follows an edge of the state machine.
    pub fn become_state(&mut self, next: WorkerState, now: Millis) -> Result<(), WorkerEdgeError> {
        if !self.state.may_become(next) {
            return Err(WorkerEdgeError {
                from: self.state,
                to: next,
            });
        }
        // It went away before it was of any use.
        if next == WorkerState::Stopped && matches!(self.state, WorkerState::Booting | WorkerState::Warming) {
            self.failures += 1;
        }
        // A process that begins again while it warms up does not get more time to become ready.
        if self.state != next {
            self.state_since = now;
        }
        let before = std::mem::replace(&mut self.state, next);
        match next {
            WorkerState::Ready => {
                self.idle_since = self
                    .idle_since
                    .filter(|_| before != WorkerState::Draining)
                    .or(Some(now));
                self.failures = 0;
                self.no_capacity_at = None;
            }
            WorkerState::Starting => {
                self.generation += 1;
                self.begun.clear();
                self.failed.clear();
                self.outcome_due = true;
                self.last_seen = now;
                self.up_since = now;
            }
            WorkerState::Stopped | WorkerState::Gone => {
                self.silent_since = None;
                self.dismissed = None;
                self.connection = None;
                self.gpu = None;
                self.hot_since = None;
                self.models.clear();
                // A disk of the machine's own is empty at its next start; another says so.
                self.on_disk.clear();
                self.on_shared.clear();
            }
            WorkerState::Failed => self.failures += 1,
            _ => {}
        }
        if next == WorkerState::Gone {
            self.ttl = Some((now + Self::REMEMBERED).seconds());
        }
        if next == WorkerState::Busy || !next.is_up() {
            self.idle_since = None;
        }
        Ok(())
    }

    /// Whether another is to take its place: its machine image is not the one that is launched now, or speaks another
    /// protocol than this release, an older or (after a roll-back) a newer one.
    pub const fn is_outdated(&self) -> bool {
        self.old_image || matches!(self.protocol, Some(protocol) if protocol != crate::worker_api::PROTOCOL)
    }

    /// Notes how the machine came up: what the first process that becomes ready after a start says.
    pub fn booted(&mut self, times: BootTimes, now: Millis) {
        if self.boot.is_none_or(|boot| boot.at < self.up_since) {
            self.boot = Some(Boot {
                at: now,
                total: u64::try_from(now.since(self.up_since).as_millis()).unwrap_or(u64::MAX),
                times: times.bounded(),
            });
        }
    }

    /// Takes a sign of life.
    pub fn heard(&mut self, now: Millis) {
        self.last_seen = now;
        self.silent_since = None;
    }

    /// Whether it can be counted on: it was heard of less than `silent` ago, and since its silence last cost it a run.
    pub fn answers(&self, silent: Duration, now: Millis) -> bool {
        self.silent_since.is_none() && now.since(self.last_seen) < silent
    }

    /// `ready → busy` with this run.
    pub fn start(&mut self, run: RunRef, now: Millis) -> Result<(), WorkerEdgeError> {
        self.become_state(WorkerState::Busy, now)?;
        self.run = Some(run);
        Ok(())
    }

    /// The same as [`Self::release`], by somebody else, since the worker fell silent.
    pub fn lose(&mut self, run_id: RunId, now: Millis) {
        if self.run.is_some_and(|run| run.run_id == run_id) {
            self.release(run_id, now);
            self.silent_since = Some(now);
        }
    }

    /// Lets go of the run if it holds it: `busy → ready`; a draining worker stays draining.
    pub fn release(&mut self, run_id: RunId, now: Millis) {
        if self.run.is_none_or(|run| run.run_id != run_id) {
            return;
        }
        self.run = None;
        self.idle_since = Some(now);
        self.worked_at = Some(now);
        if self.state == WorkerState::Busy {
            self.state = WorkerState::Ready;
            self.state_since = now;
        }
    }
}
