//! A painter's request and its state machine.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Blame, DocumentId, Failure, FailureClass, LastRun, MicroUsd, Millis, Outcome, Parameters, PoolId, Run, RunEnd,
    RunId, RunTimes, Settings, TaskId, TaskResult, TeamId, UserId, Variant, WorkerId, account::is_zero,
};

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Waits for a worker.
    Queued,
    /// A worker renders it.
    Running,
    /// Was running when it was canceled or expired; the worker has not confirmed yet.
    Canceling,
    /// Pictures are ready.
    Succeeded,
    /// Over, with an error.
    Failed,
    /// Over, by the painter's wish.
    Canceled,
    /// Over, because it took too long.
    Expired,
}

impl TaskState {
    /// Every state, for tables and tests.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Running,
        Self::Canceling,
        Self::Succeeded,
        Self::Failed,
        Self::Canceled,
        Self::Expired,
    ];

    /// The state as it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Canceling => "canceling",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
        }
    }

    /// Whether the edge from this state to `next` exists.
    pub const fn may_become(self, next: Self) -> bool {
        use TaskState::{Canceled, Canceling, Expired, Failed, Queued, Running, Succeeded};
        matches!(
            (self, next),
            (Queued, Running | Canceled | Expired | Failed)
                | (Running, Succeeded | Failed | Queued | Canceling)
                | (Canceling, Canceled | Expired)
        )
    }

    /// No edge leads out of a terminal state.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled | Self::Expired)
    }
}

/// How urgently a task's owner waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// A picture per brush stroke.
    Live,
    /// Somebody looks at a progress bar.
    Interactive,
    /// Nobody waits in front of the screen.
    Batch,
}

impl Lane {
    /// The lane as it is written in keys.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Interactive => "interactive",
            Self::Batch => "batch",
        }
    }
}

/// Why a task is being ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelCause {
    /// Its owner said so.
    User,
    /// It waited or ran too long, or nobody asks for it any more.
    Expired,
}

/// What a cancel did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canceled {
    /// The task was waiting: it is over.
    Ended,
    /// The task is running: its worker has to be told.
    Asked,
    /// Nothing to do: it was already over or being canceled.
    Already,
}

/// A transition that must not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    /// The state has no such edge.
    #[error("a task that is {from:?} cannot become {to:?}")]
    NoEdge {
        /// State found.
        from: TaskState,
        /// State wanted.
        to: TaskState,
    },
    /// The writer speaks about another run than the one that holds the task.
    #[error("this run does not hold the task")]
    NotThisRun,
    /// The task is being canceled: a result is refused.
    #[error("the task was canceled")]
    BeingCanceled,
}

/// A painter's request: the small, hot item. Request and plan are in [`TaskBody`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// UUIDv7.
    pub task_id: TaskId,
    /// Version of this item, for conditional writes.
    pub version: u64,
    /// Who asked.
    pub owner: UserId,
    /// The owner's team.
    pub team: TeamId,
    /// Where it is rendered.
    pub pool: PoolId,
    /// The pool again, only while the task waits: the sparse key of the backlog index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<PoolId>,
    /// Place in line: smaller is earlier. Kept when the task is requeued, unless its run was taken back for who came
    /// first.
    pub start_tag: u64,
    /// How urgent it is.
    pub lane: Lane,
    /// The document whose history it is a step of, where its painter has agreed to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<DocumentId>,
    /// Kind of picture, as [`Parameters::kind`] names it; absent where an earlier release has let it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Where it stands.
    pub state: TaskState,
    /// The model file it needs first, for the choice of a worker that has it loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Steps × megapixels × pictures: the base of time estimates.
    pub work: f64,
    /// What it reserved, when it was submitted, of the owner's budget of that month; the most it may cost.
    #[serde(default)]
    pub reserved: MicroUsd,
    /// What it cost; nothing unless it succeeded.
    #[serde(default)]
    pub cost: MicroUsd,
    /// When it was submitted.
    pub created: Millis,
    /// When it ends unfinished.
    pub expires_at: Millis,
    /// When its owner last asked for it.
    pub seen_at: Millis,
    /// When its pictures were expected at submit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta: Option<Millis>,
    /// The current run; present while running or canceling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// Why it is canceling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<CancelCause>,
    /// Infrastructure failures so far.
    #[serde(default)]
    pub failures: u32,
    /// How often a run of it was taken back for somebody who waited.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub preempted: u64,
    /// The worker on which its last run failed, or with which it was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_on: Option<WorkerId>,
    /// Worker time of earlier runs that ended at a limit of time or memory, in milliseconds: nobody pays for it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unpaid_ms: u64,
    /// The pictures, once it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<TaskResult>,
    /// What went wrong, once it failed; while it waits, what happened to its last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// When the last run was claimed; absent while it waits again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_at: Option<Millis>,
    /// When it reached a terminal state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Millis>,
    /// How long the parts of the successful run took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<RunTimes>,
    /// Who rendered it last, once it is over; none if nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
    /// Which of [`Task::PARTS`] it is in, while it is over and has no record yet: the sparse key of an index, so that none is
    /// forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unarchived: Option<String>,
    /// When it is then offered again to who writes records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer_at: Option<Millis>,
    /// When its record was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<Millis>,
    /// When DynamoDB may delete the item, seconds: some time after `archived_at`, and never without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
    /// Which variant it is, if it was asked for with others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Variant>,
}

impl Task {
    /// After this many infrastructure failures a task fails for good.
    pub const MAX_FAILURES: u32 = 3;
    /// Parts of the index of tasks that are over and have no record, so that no part of it is written by all.
    pub const PARTS: [&str; 4] = ["0", "1", "2", "3"];
    /// How long the table's stream has to bring a task to who writes records before it is offered again.
    pub const OFFERED_AFTER: Duration = Duration::from_hours(1);

    fn become_state(&mut self, next: TaskState, now: Millis) -> Result<(), TransitionError> {
        if !self.state.may_become(next) {
            return Err(TransitionError::NoEdge {
                from: self.state,
                to: next,
            });
        }
        self.state = next;
        self.backlog = (next == TaskState::Queued).then(|| self.pool.clone());
        if !matches!(next, TaskState::Running | TaskState::Canceling) {
            let ended = self.run.take().filter(|_| next.is_terminal());
            self.last_run = ended.map(|run| LastRun {
                run_id: run.run_id,
                worker_id: run.worker_id,
            });
        }
        if next.is_terminal() {
            self.ended_at = Some(now);
            let part = usize::from(self.task_id.last_byte()) % Self::PARTS.len();
            self.unarchived = Some(Self::PARTS[part].to_owned());
            self.offer_at = Some(now + Self::OFFERED_AFTER);
        }
        Ok(())
    }

    /// This task with its record written, to be deleted from the table after `life`.
    #[must_use]
    pub fn archived(&self, life: Duration, now: Millis) -> Self {
        Self {
            unarchived: None,
            offer_at: None,
            archived_at: Some(now),
            ttl: Some((now + life).seconds()),
            ..self.clone()
        }
    }

    /// Lets its record be written again, where it has one: something of the task has changed. It does not go away before.
    pub fn reopen(&mut self, now: Millis) {
        if self.archived_at.take().is_some() {
            let part = usize::from(self.task_id.last_byte()) % Self::PARTS.len();
            self.unarchived = Some(Self::PARTS[part].to_owned());
            self.offer_at = Some(now + Self::OFFERED_AFTER);
            self.ttl = None;
        }
    }

    /// This task, offered again to who writes records: the write itself does it, since it shows in the table's stream. None if
    /// there is nothing to offer, or not yet.
    pub fn offered(&self, now: Millis) -> Option<Self> {
        self.offer_at.filter(|at| self.unarchived.is_some() && *at <= now)?;
        Some(Self {
            offer_at: Some(now + Self::OFFERED_AFTER),
            ..self.clone()
        })
    }

    /// This task with its owner seen now, if that is worth a write: often enough to know that somebody waits, rarely enough
    /// to cost nothing.
    pub fn seen(&self, settings: &Settings, now: Millis) -> Option<Self> {
        let worth = !self.state.is_terminal() && now.since(self.seen_at) >= settings.owner_absent / 3;
        worth.then(|| Self {
            seen_at: now,
            ..self.clone()
        })
    }

    /// The share done, 0 to 1.
    pub fn progress(&self) -> f32 {
        if self.state == TaskState::Succeeded {
            1.0
        } else {
            self.run.as_ref().map_or(0.0, |run| run.progress)
        }
    }

    /// How long the worker was held by the last run, once the task is over; zero if there was none.
    pub fn run_time(&self) -> Duration {
        match (self.claimed_at, self.ended_at) {
            (Some(claimed), Some(ended)) => ended.since(claimed),
            _ => Duration::ZERO,
        }
    }

    /// `queued → running`.
    pub fn start(&mut self, run: Run) -> Result<(), TransitionError> {
        let claimed_at = run.claimed_at;
        self.become_state(TaskState::Running, claimed_at)?;
        self.claimed_at = Some(claimed_at);
        self.run = Some(run);
        Ok(())
    }

    /// The run, if it is the one that holds the task.
    pub fn run_mut(&mut self, run_id: RunId) -> Result<&mut Run, TransitionError> {
        self.run
            .as_mut()
            .filter(|run| run.run_id == run_id)
            .ok_or(TransitionError::NotThisRun)
    }

    /// Takes a progress report. False if it is older than what is known.
    pub fn take_progress(&mut self, run_id: RunId, seq: u64, value: f32) -> Result<bool, TransitionError> {
        let run = self.run_mut(run_id)?;
        if seq <= run.seq || !value.is_finite() {
            return Ok(false);
        }
        run.seq = seq;
        run.progress = value.clamp(0.0, 1.0);
        Ok(true)
    }

    /// Ends the run that holds the task. The lease's time plays no part: a late result that nobody else replaced counts.
    pub fn end_run(&mut self, run_id: RunId, outcome: Outcome, now: Millis) -> Result<RunEnd, TransitionError> {
        self.run_mut(run_id)?;
        if self.state == TaskState::Canceling {
            let ended = match self.cancel {
                Some(CancelCause::Expired) => TaskState::Expired,
                Some(CancelCause::User) | None => TaskState::Canceled,
            };
            self.become_state(ended, now)?;
            return Ok(RunEnd::Ended);
        }
        match outcome {
            Outcome::Succeeded(result, times) => {
                self.become_state(TaskState::Succeeded, now)?;
                self.result = Some(result);
                self.times = Some(times);
                self.error = None;
                Ok(RunEnd::Committed)
            }
            Outcome::Failed(failure) => self.fail_run(failure, now),
            Outcome::Interrupted => self.fail_run(
                Failure::new(
                    FailureClass::Infrastructure,
                    "The render was interrupted and starts again.",
                ),
                now,
            ),
        }
    }

    fn fail_run(&mut self, failure: Failure, now: Millis) -> Result<RunEnd, TransitionError> {
        let over = match failure.class {
            FailureClass::User => true,
            FailureClass::Capacity => false,
            FailureClass::Infrastructure => {
                self.failures += 1;
                self.failures >= Self::MAX_FAILURES
            }
        };
        if !over && failure.blame == Blame::Request {
            let claimed = self.claimed_at.unwrap_or(now);
            let took = u64::try_from(now.since(claimed).as_millis()).unwrap_or(u64::MAX);
            self.unpaid_ms = self.unpaid_ms.saturating_add(took);
        }
        self.error = Some(failure);
        self.become_state(if over { TaskState::Failed } else { TaskState::Queued }, now)?;
        if !over {
            self.claimed_at = None;
        }
        Ok(if over { RunEnd::Ended } else { RunEnd::Requeued })
    }

    /// Ends a waiting task without a picture, for good.
    pub fn fail(&mut self, failure: Failure, now: Millis) -> Result<(), TransitionError> {
        if self.run.is_some() {
            // Its run ends it.
            return Err(TransitionError::NoEdge {
                from: self.state,
                to: TaskState::Failed,
            });
        }
        self.become_state(TaskState::Failed, now)?;
        self.error = Some(failure);
        Ok(())
    }

    /// Cancels or expires the task.
    pub fn cancel(&mut self, cause: CancelCause, now: Millis) -> Canceled {
        let (next, done) = match (self.state, cause) {
            (TaskState::Queued, CancelCause::User) => (TaskState::Canceled, Canceled::Ended),
            (TaskState::Queued, CancelCause::Expired) => (TaskState::Expired, Canceled::Ended),
            (TaskState::Running, _) => (TaskState::Canceling, Canceled::Asked),
            _ => return Canceled::Already,
        };
        if self.become_state(next, now).is_err() {
            return Canceled::Already;
        }
        self.cancel = Some(cause);
        done
    }
}

/// What the backlog index shows of a waiting task: all that choosing needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BacklogEntry {
    /// Which task.
    pub task_id: TaskId,
    /// Who waits.
    pub owner: UserId,
    /// The owner's team.
    pub team: TeamId,
    /// Place in line.
    pub start_tag: u64,
    /// How urgent it is.
    pub lane: Lane,
    /// The model it needs first.
    #[serde(default)]
    pub model: Option<String>,
    /// The worker on which it failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_on: Option<WorkerId>,
    /// Base of time estimates.
    pub work: f64,
    /// When it was submitted.
    pub created: Millis,
    /// When it ends unfinished.
    pub expires_at: Millis,
    /// When its owner last asked for it.
    pub seen_at: Millis,
}

impl From<&Task> for BacklogEntry {
    fn from(task: &Task) -> Self {
        Self {
            task_id: task.task_id,
            owner: task.owner.clone(),
            team: task.team.clone(),
            start_tag: task.start_tag,
            lane: task.lane,
            model: task.model.clone(),
            failed_on: task.failed_on.clone(),
            work: task.work,
            created: task.created,
            expires_at: task.expires_at,
            seen_at: task.seen_at,
        }
    }
}

/// The large, cold part of a task, written once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskBody {
    /// Which task.
    pub task_id: TaskId,
    /// Version of this item.
    pub version: u64,
    /// The compiled plan, as JSON text; absent when it lies in the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Where plan and inputs lie when they are too large for the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_key: Option<String>,
    /// What the task was asked with; absent where an earlier release has let it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
    /// The input pictures, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<crate::worker_api::InputBlob>,
    /// The LoRAs of the studio's store that the plan loads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loras: Vec<crate::worker_api::ModelFile>,
    /// Its other files of the studio's store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<crate::worker_api::ModelFile>,
    /// When DynamoDB may delete the item, seconds.
    pub ttl: u64,
}
