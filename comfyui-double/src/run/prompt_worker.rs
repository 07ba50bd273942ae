//! The one thread that runs prompts, like ComfyUI's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::cache::Cache;
use super::running::{Finished, Run};
use crate::state::history::{End, Entry};
use crate::state::item::Item;
use crate::state::shared::{Running, Shared, now_ms};

/// Runs prompts until the double stops.
pub(crate) fn work(shared: &Shared) {
    let mut cache = Cache::default();
    while let Some(item) = next(shared, &mut cache) {
        let started = now_ms();
        let Some(finished) = Run::new(shared, &item, &mut cache).run() else {
            return;
        };
        finish(shared, &item, finished, started);
    }
}

/// Waits for a prompt and takes it; `None` when the double stops.
fn next(shared: &Shared, cache: &mut Cache) -> Option<Arc<Item>> {
    let mut inner = shared.lock();
    loop {
        if inner.stopping {
            return None;
        }
        // Memory is freed between prompts only.
        if std::mem::take(&mut inner.free_asked) {
            cache.clear();
        }
        if !inner.pending.is_empty() {
            let item = inner.pending.remove(0);
            inner.running = Some(Running {
                item: Arc::clone(&item),
                node: None,
            });
            // An interrupt that came before the run does not count.
            inner.interrupt = None;
            inner.stats.runs += 1;
            inner.broadcast_status();
            return Some(item);
        }
        inner = shared.wait(inner, None);
    }
}

/// Writes the history, and only then says that nothing runs any more.
fn finish(shared: &Shared, item: &Arc<Item>, finished: Finished, started: u64) {
    let mut inner = shared.lock();
    match finished.end {
        End::Success => inner.stats.succeeded += 1,
        End::Error => inner.stats.failed += 1,
        End::Interrupted => inner.stats.interrupted += 1,
    }
    let lag = Duration::from_millis(inner.faults.history_lag_ms);
    inner.history.add(Entry {
        item: Arc::clone(item),
        end: finished.end,
        outputs: finished.outputs,
        messages: finished.messages,
        started,
        ended: now_ms(),
        visible: Instant::now() + lag,
    });
    inner.running = None;
    inner.interrupt = None;
    inner.broadcast_status();
    let data = json!({ "node": null, "prompt_id": item.id });
    inner.sockets.send(item.client(), "executing", &data);
}
