//! What heartbeats and the WebSocket tell about this worker, kept where the run can write and they can read.

use model::{RunId, TaskId, worker_api::RunProgress};
use tokio::sync::watch;

/// What the worker is doing; a heartbeat is due at once when it becomes ready or unready.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Status {
    pub(crate) ready: bool,
    pub(crate) run: Option<Share>,
    /// Model files of the last runs, latest first.
    pub(crate) models: Vec<String>,
    /// Node classes of custom packs that ComfyUI has.
    pub(crate) nodes: Vec<String>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Share {
    pub(crate) task_id: TaskId,
    pub(crate) run_id: RunId,
    pub(crate) seq: u64,
    pub(crate) value: f32,
}

impl From<Share> for RunProgress {
    fn from(share: Share) -> Self {
        Self {
            run_id: share.run_id,
            seq: share.seq,
            value: share.value,
        }
    }
}

/// How many names of model files are worth remembering.
const MODELS: usize = 24;

/// The writing end.
#[derive(Debug, Clone)]
pub(crate) struct StatusBoard(watch::Sender<Status>);

impl StatusBoard {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Status::default()))
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Status> {
        self.0.subscribe()
    }

    pub(crate) fn set_ready(&self, ready: bool) {
        self.0
            .send_if_modified(|status| std::mem::replace(&mut status.ready, ready) != ready);
    }

    pub(crate) fn begin(&self, task_id: TaskId, run_id: RunId) {
        let share = Share {
            task_id,
            run_id,
            seq: 0,
            value: 0.0,
        };
        self.0.send_modify(|status| status.run = Some(share));
    }

    /// Notes how far the run is; never backwards.
    pub(crate) fn progress(&self, value: f32) {
        self.0.send_if_modified(|status| match &mut status.run {
            Some(share) if value > share.value => {
                share.value = value;
                share.seq += 1;
                true
            }
            _ => false,
        });
    }

    pub(crate) fn end(&self) {
        self.0.send_modify(|status| status.run = None);
    }

    /// These files were loaded by the last run.
    pub(crate) fn loaded(&self, files: &[String]) {
        self.0.send_modify(|status| {
            let mut models = files.to_vec();
            models.extend(status.models.drain(..).filter(|model| !files.contains(model)));
            models.truncate(MODELS);
            status.models = models;
        });
    }

    /// ComfyUI has these node classes of custom packs.
    pub(crate) fn has_nodes(&self, nodes: Vec<String>) {
        self.0.send_modify(|status| status.nodes = nodes);
    }

    /// ComfyUI has let go of all models.
    pub(crate) fn unloaded(&self) {
        self.0.send_modify(|status| status.models.clear());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_kept_latest_first() {
        let board = StatusBoard::new();
        board.loaded(&["a".into(), "b".into()]);
        board.loaded(&["c".into(), "a".into()]);
        assert_eq!(board.watch().borrow().models, ["c", "a", "b"]);
        board.unloaded();
        assert!(board.watch().borrow().models.is_empty());
    }

    #[test]
    fn progress_never_falls() {
        let board = StatusBoard::new();
        let id = || "018f2b5e-0000-7000-8000-000000000000";
        board.begin(id().parse().unwrap(), id().parse().unwrap());
        board.progress(0.5);
        board.progress(0.25);
        let share = board.watch().borrow().run.unwrap();
        assert_eq!((share.seq, share.value.to_string().as_str()), (1, "0.5"));
    }
}
