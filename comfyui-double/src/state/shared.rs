//! The one state behind one lock: queue, history, files, sockets, faults, counters.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::gate::GateKeeper;
use super::history::History;
use super::item::Item;
use super::sockets::Sockets;
use crate::disk::files::Files;
use crate::disk::models::Models;
use crate::faults::{Faults, Stats};
use crate::options::Options;

/// The prompt that runs now.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) item: Arc<Item>,
    pub(crate) node: Option<String>,
}

/// All that changes.
#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) counter: i64,
    pub(crate) pending: Vec<Arc<Item>>,
    pub(crate) running: Option<Running>,
    pub(crate) history: History,
    pub(crate) sockets: Sockets,
    pub(crate) files: Files,
    pub(crate) models: Models,
    pub(crate) faults: Faults,
    pub(crate) stats: Stats,
    /// When the interrupt that was asked for takes effect.
    pub(crate) interrupt: Option<Instant>,
    pub(crate) free_asked: bool,
    pub(crate) stopping: bool,
}

/// What the server's tasks and the worker share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) gate: GateKeeper,
    inner: Mutex<Inner>,
    wake: Condvar,
}

impl Shared {
    pub(crate) fn new(options: Options, gate: GateKeeper) -> Self {
        let inner = Inner {
            models: options.models.clone(),
            ..Inner::default()
        };
        Self {
            options,
            gate,
            inner: Mutex::new(inner),
            wake: Condvar::new(),
        }
    }

    /// The state. A panic elsewhere leaves it usable: no invariant spans two fields for long.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the worker that something has changed.
    pub(crate) fn wake(&self) {
        self.wake.notify_all();
    }

    /// Waits for a change, for at most this long.
    pub(crate) fn wait<'a>(&self, inner: MutexGuard<'a, Inner>, limit: Option<Duration>) -> MutexGuard<'a, Inner> {
        match limit {
            None => self.wake.wait(inner).unwrap_or_else(PoisonError::into_inner),
            Some(limit) => {
                self.wake
                    .wait_timeout(inner, limit)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        }
    }
}

impl Inner {
    pub(crate) fn remaining(&self) -> usize {
        self.pending.len() + usize::from(self.running.is_some())
    }

    pub(crate) fn status(&self) -> Value {
        json!({ "status": { "exec_info": { "queue_remaining": self.remaining() } } })
    }

    pub(crate) fn broadcast_status(&self) {
        self.sockets.broadcast("status", &self.status());
    }

    pub(crate) fn enqueue(&mut self, item: Item) {
        // Equal numbers keep the order in which they came.
        let number = item.number.as_f64();
        let place = self.pending.partition_point(|other| other.number.as_f64() <= number);
        self.pending.insert(place, Arc::new(item));
        self.stats.prompts_accepted += 1;
        self.broadcast_status();
    }

    /// Deletes pending prompts; running and unknown ones stay, silently. Whether any was deleted.
    pub(crate) fn delete_pending(&mut self, wanted: impl Fn(&str) -> bool) -> bool {
        let before = self.pending.len();
        self.pending.retain(|item| !wanted(&item.id));
        let deleted = before - self.pending.len();
        self.stats.deleted += deleted as u64;
        if deleted > 0 {
            self.broadcast_status();
        }
        deleted > 0
    }

    /// Asks for the interrupt of the running prompt, or of this one if it is the running one.
    pub(crate) fn ask_interrupt(&mut self, id: Option<&str>) -> bool {
        self.stats.interrupt_requests += 1;
        let hits = self
            .running
            .as_ref()
            .is_some_and(|running| id.is_none_or(|id| running.item.id == id));
        if !hits {
            return false;
        }
        if self.faults.lost_interrupts > 0 {
            self.faults.lost_interrupts -= 1;
            return true;
        }
        let delay = Duration::from_millis(self.faults.interrupt_delay_ms);
        self.interrupt.get_or_insert(Instant::now() + delay);
        true
    }

    pub(crate) fn set_faults(&mut self, faults: Faults) {
        self.sockets.set_silent(faults.silent_sockets);
        self.faults = faults;
    }

    pub(crate) fn list_files(&self, folder: &str) -> Vec<String> {
        match folder {
            "input" => self.files.input_names(),
            other => self.models.list(other),
        }
    }
}

/// Milliseconds since 1970, as ComfyUI stamps its messages.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
