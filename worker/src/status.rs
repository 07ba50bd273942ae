//! What heartbeats and the WebSocket tell about this worker, kept where the run can write and they can read.

use model::{
    BootTimes, RunId, TaskId,
    worker_api::{Damaged, RunProgress, Source},
};
use tokio::sync::watch;

/// What the worker is doing; a heartbeat is due at once when it becomes ready or unready.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Status {
    pub(crate) ready: bool,
    pub(crate) run: Option<Share>,
    /// Main models of the last runs, latest first.
    pub(crate) main_models: Vec<String>,
    /// All model files of the last runs, latest first.
    pub(crate) models: Vec<String>,
    /// What the disk has of the studio's store, latest used first: the beginnings of hashes.
    pub(crate) on_disk: Vec<String>,
    /// The same of the folder that the machines share.
    pub(crate) on_shared: Vec<String>,
    /// What was found damaged since this process began, at most [`DAMAGED`]. It only grows.
    pub(crate) damaged: Vec<Damaged>,
    /// Node classes of custom packs that ComfyUI has.
    pub(crate) nodes: Vec<String>,
    /// Why this machine is of no use, if it is.
    pub(crate) sick: Option<&'static str>,
    /// How long it took to become ready for the first time, once it has.
    pub(crate) boot: Option<BootTimes>,
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

/// ComfyUI keeps models on the GPU, and beyond that in memory, until it needs the room. How many that are depends on their
/// size; four checkpoints are about what a host has room for.
const MAIN_MODELS: usize = 4;
/// A machine that finds more than that is of no use whatever is said of it.
const DAMAGED: usize = 256;
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

    pub(crate) fn is_ready(&self) -> bool {
        self.0.borrow().ready
    }

    pub(crate) fn set_ready(&self, ready: bool) {
        self.0
            .send_if_modified(|status| std::mem::replace(&mut status.ready, ready) != ready);
    }

    /// Says that this machine is of no use, or that it is again.
    pub(crate) fn set_sick(&self, why: Option<&'static str>) {
        self.0
            .send_if_modified(|status| std::mem::replace(&mut status.sick, why) != why);
    }

    pub(crate) fn has_booted(&self) -> bool {
        self.0.borrow().boot.is_some()
    }

    pub(crate) fn booted(&self, times: BootTimes) {
        self.0.send_modify(|status| status.boot = Some(times));
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

    /// These files were loaded by the last run, the main model first, as in a plan.
    pub(crate) fn loaded(&self, files: &[String]) {
        let main = &files[..files.len().min(1)];
        self.0.send_modify(|status| {
            put_first(&mut status.main_models, main, MAIN_MODELS);
            put_first(&mut status.models, files, MODELS);
        });
    }

    /// Whether ComfyUI may have a file loaded that fits.
    pub(crate) fn may_have_loaded(&self, fits: impl Fn(&str) -> bool) -> bool {
        let status = self.0.borrow();
        let mut files = status.main_models.iter().chain(&status.models);
        files.any(|file| fits(file))
    }

    /// The disk has these files of the studio's store.
    pub(crate) fn has_on_disk(&self, hashes: Vec<String>) {
        self.0.send_modify(|status| status.on_disk = hashes);
    }

    /// The folder that the machines share has these files of the studio's store.
    pub(crate) fn has_on_shared(&self, hashes: Vec<String>) {
        self.0.send_if_modified(|status| {
            let news = status.on_shared != hashes;
            status.on_shared = hashes;
            news
        });
    }

    /// A file was found damaged, which is told at once.
    pub(crate) fn damaged(&self, file: &str, from: Source) {
        self.0.send_if_modified(|status| {
            let room = status.damaged.len() < DAMAGED;
            if room {
                status.damaged.push(Damaged {
                    file: file.to_owned(),
                    from,
                });
            }
            room
        });
    }

    /// ComfyUI has these node classes of custom packs.
    pub(crate) fn has_nodes(&self, nodes: Vec<String>) {
        self.0.send_modify(|status| status.nodes = nodes);
    }

    /// ComfyUI has let go of all models.
    pub(crate) fn unloaded(&self) {
        self.0.send_modify(|status| {
            status.main_models.clear();
            status.models.clear();
        });
    }
}

/// Puts these names before the others, each once, and keeps so many.
fn put_first(names: &mut Vec<String>, latest: &[String], most: usize) {
    names.retain(|name| !latest.contains(name));
    names.splice(..0, latest.iter().cloned());
    names.truncate(most);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_kept_latest_first() {
        let board = StatusBoard::new();
        let told = || {
            let status = board.watch().borrow().clone();
            (status.main_models.join(" "), status.models.join(" "))
        };
        let run = |files: &[&str]| {
            board.loaded(&files.iter().map(|file| (*file).to_owned()).collect::<Vec<_>>());
            told()
        };
        assert_eq!(run(&["a", "lora", "vae"]), ("a".into(), "a lora vae".into()));
        assert_eq!(run(&["b", "vae"]), ("b a".into(), "b vae a lora".into()));
        // A plan without models leaves things as they are.
        assert_eq!(run(&[]), ("b a".into(), "b vae a lora".into()));
        assert_eq!(run(&["a"]), ("a b".into(), "a b vae lora".into()));
        for file in ["c", "d", "e"] {
            run(&[file]);
        }
        assert_eq!(told(), ("e d c a".into(), "e d c a b vae lora".into()));
        let many: Vec<_> = (0..100).map(|number| format!("lora-{number}")).collect();
        board.loaded(&many);
        assert_eq!(board.watch().borrow().models, many[..MODELS]);
        board.unloaded();
        assert_eq!(told(), (String::new(), String::new()));
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
