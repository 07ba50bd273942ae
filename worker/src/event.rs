//! What happens to a worker, as its parts tell the agent.

use model::{
    RunId, TaskId,
    worker_api::{Assignment, HeartbeatReply, Registered},
};
use tokio::sync::mpsc;

/// Something that has happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The worker has a token.
    Registered(Box<Registered>),
    /// The API wants no worker like this.
    Dismissed,
    /// A heartbeat was answered; `about` is the run that it reported, `ready` what it said.
    Beat {
        reply: HeartbeatReply,
        about: Option<RunId>,
        ready: bool,
    },
    /// The WebSocket says that there is work.
    Wake(Option<TaskId>),
    /// The WebSocket says that a run is to be stopped.
    Cancel(RunId),
    /// The WebSocket says that no more work is to be taken.
    Drain,
    /// ComfyUI has warmed up.
    Warm,
    /// ComfyUI does not answer any more.
    ComfyGone,
    /// A claim was answered; none if there is nothing.
    Claimed(Option<Box<Assignment>>),
    /// A claim was not answered, or refused.
    NotClaimed,
    /// A run is over.
    Finished(Finished),
    /// The process is asked to end.
    Terminate,
}

/// A run is over.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) run_id: RunId,
    /// What to render next, if the API has said so.
    pub(crate) next: Option<Box<Assignment>>,
    /// ComfyUI has died or hangs.
    pub(crate) sick: bool,
}

/// Tells the agent.
pub(crate) async fn send(events: &mpsc::Sender<Event>, event: Event) {
    // Nobody listens any more when the agent ends, and nothing is left to do then.
    let _ = events.send(event).await;
}
