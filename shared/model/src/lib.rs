//! What things are: ids, tasks, workers, messages, state machines.
//!
//! Everything here is pure: no clock, no I/O, no AWS. A transition takes `now` and either changes a snapshot or says
//! why it must not; whoever calls it commits the snapshot with a condition on the version that was read.

mod account;
mod audit;
mod catalog;
mod demand;
mod failure;
mod group;
pub mod guess;
mod hazard;
mod ids;
mod keep;
mod leaving;
pub mod metrics;
mod money;
mod parameters;
mod pool;
mod pose;
mod recording;
mod run;
mod scheduling;
mod session;
mod settings;
mod sign_in;
pub mod socket;
mod task;
mod time;
mod worker;
pub mod worker_api;

pub use account::{Account, Role, SignedIn, TeamRate, Usage};
pub use audit::Audit;
pub use catalog::{
    AwaitedLora, CatalogEntry, Deletion, KINDS, LoraCount, Master, ModelUpload, Numbers, UploadState, UploadedLora,
    folder,
};
pub use demand::{Band, DemandCount, DemandCounted, DemandDay, HourForecast, Judged, NextHour, NextStep};
pub use failure::{Blame, Failure, FailureClass};
pub use group::{Group, Member, Pair, Variant, Vote, VoteError};
pub use hazard::{Course, Frailty, Hazard, Painter, Tally};
pub use ids::{
    ConnectionId, DocumentId, GroupId, IdError, InstanceId, PoolId, RunId, TaskId, TeamId, UserId, WorkerId,
};
pub use keep::{Keep, KeepRule, Kept};
pub use leaving::Leaving;
pub use money::MicroUsd;
pub use parameters::{LoraStrength, Parameters};
pub use pool::{DayMeter, Meter, Pool, PoolNames, PoolNodes, Shift, StartingWorker};
pub use pose::Pose;
pub use recording::{Applied, Class, Document, Step, StepPictures};
pub use run::{LastRun, MAX_THUMBNAIL, Outcome, Run, RunEnd, RunTimes, TaskResult};
pub use scheduling::{
    Breaker, BreakerForce, Demand, Estimate, Estimates, Forecast, LaunchOutcome, Load, OpenCall, Pace, Presence, Told,
    storable,
};
pub use session::{Look, Session};
pub use settings::{Setting, Settings, SettingsError};
pub use sign_in::{AddressRate, BrowserSession, Device, Identified, Identity, Invitation, SignIn, Ticket};
pub use task::{BacklogEntry, CancelCause, Canceled, Lane, Task, TaskBody, TaskState, TransitionError};
pub use time::Millis;
pub use worker::{Boot, BootTimes, GpuUse, HostUse, RunRef, Worker, WorkerEdgeError, WorkerState};
