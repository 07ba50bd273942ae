//! A run in progress.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::cache::Cache;
use crate::nodes::outcome::Trouble;
use crate::nodes::thing::Thing;
use crate::options::Version;
use crate::prompt::ordered::Ordered;
use crate::state::history::End;
use crate::state::item::Item;
use crate::state::shared::{Inner, Shared};

/// What a run leaves behind.
pub(crate) struct Finished {
    pub(crate) end: End,
    pub(crate) outputs: Ordered<Value>,
    pub(crate) messages: Vec<(String, Value)>,
}

/// A run in progress.
pub(crate) struct Run<'a> {
    pub(super) shared: &'a Shared,
    pub(super) item: &'a Arc<Item>,
    pub(super) cache: &'a mut Cache,
    pub(super) things: HashMap<String, Vec<Thing>>,
    pub(super) node: String,
    pub(super) progress: Ordered<Value>,
    pub(super) images: Vec<Value>,
    pub(super) texts: Vec<String>,
    pub(super) executed: Vec<String>,
    pub(super) finished: Finished,
}

impl<'a> Run<'a> {
    pub(crate) fn new(shared: &'a Shared, item: &'a Arc<Item>, cache: &'a mut Cache) -> Self {
        Self {
            shared,
            item,
            cache,
            things: HashMap::new(),
            node: String::new(),
            progress: Ordered::default(),
            images: Vec::new(),
            texts: Vec::new(),
            executed: Vec::new(),
            finished: Finished {
                end: End::Success,
                outputs: Ordered::default(),
                messages: Vec::new(),
            },
        }
    }

    pub(super) fn like(&self) -> Version {
        self.shared.options.version
    }

    pub(super) fn check_interrupt(&self) -> Result<(), Trouble> {
        check_interrupt(&mut self.shared.lock())
    }

    /// Spends this time, unless an interrupt ends it.
    pub(super) fn work_for(&self, time: Duration) -> Result<(), Trouble> {
        let end = Instant::now() + time;
        let mut inner = self.shared.lock();
        loop {
            check_interrupt(&mut inner)?;
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            let due = inner.interrupt.map_or(end, |due| due.min(end));
            inner = self.shared.wait(inner, Some(due.saturating_duration_since(now)));
        }
    }
}

fn check_interrupt(inner: &mut Inner) -> Result<(), Trouble> {
    if inner.stopping {
        return Err(Trouble::Stopped);
    }
    if inner.interrupt.is_some_and(|due| due <= Instant::now()) {
        inner.interrupt = None;
        return Err(Trouble::Interrupted);
    }
    Ok(())
}
