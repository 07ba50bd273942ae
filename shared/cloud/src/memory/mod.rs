//! Everything of AWS in memory. It refuses what AWS refuses, and is unkind where the emulator is too kind: index reads
//! lag, pages are short, batches leave items out, transactions conflict for no reason, messages are doubled, reordered and lost, sockets are gone.

mod messages;
mod multipart;
mod objects;
mod rules;
mod tables;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use model::ConnectionId;
use serde_json::Value;

use crate::{Bucket, Cloud, Queue, Sockets, Store, queue::Queued, store::Item, tables::Key};

/// How unkind to be.
#[derive(Debug, Clone, Copy)]
pub struct Unkind {
    /// Seed of all chance.
    pub seed: u64,
    /// Index reads do not show up to this many of the newest writes.
    pub index_lag: usize,
    /// Share of commits that conflict for no reason, percent.
    pub conflict_percent: u8,
    /// Most entries in a page of a list, however many were asked for.
    pub page: usize,
    /// Share of reads of many items that leave some out, percent.
    pub left_percent: u8,
}

impl Unkind {
    /// As kind as the emulator.
    pub const NOT: Self = Self {
        seed: 0,
        index_lag: 0,
        conflict_percent: 0,
        page: usize::MAX,
        left_percent: 0,
    };

    /// Rather unkind, by this seed.
    pub const fn seeded(seed: u64) -> Self {
        Self {
            seed,
            index_lag: 5,
            conflict_percent: 20,
            page: 7,
            left_percent: 30,
        }
    }
}

#[derive(Debug)]
struct State {
    unkind: Unkind,
    chance: fastrand::Rng,
    /// Of what batches leave out.
    luck: fastrand::Rng,
    items: BTreeMap<Key, Item>,
    commits: u64,
    indexed: BTreeMap<Key, Item>,
    not_indexed: VecDeque<(Key, Option<Item>)>,
    queued: Vec<Queued>,
    queue_fails: bool,
    sent: Vec<(ConnectionId, Value)>,
    gone: BTreeSet<ConnectionId>,
    objects: BTreeMap<String, (u64, String)>,
    /// Bytes of those that came in parts.
    files: BTreeMap<String, Bytes>,
    /// S3's own sums of those.
    sums: BTreeMap<String, String>,
    uploads: BTreeMap<String, multipart::Upload>,
}

/// The in-memory AWS.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Mutex<State>>);

impl Memory {
    /// An empty one.
    pub fn new(unkind: Unkind) -> Self {
        Self(Arc::new(Mutex::new(State {
            unkind,
            chance: fastrand::Rng::with_seed(unkind.seed),
            luck: fastrand::Rng::with_seed(unkind.seed),
            items: BTreeMap::new(),
            commits: 0,
            indexed: BTreeMap::new(),
            not_indexed: VecDeque::new(),
            queued: Vec::new(),
            queue_fails: false,
            sent: Vec::new(),
            gone: BTreeSet::new(),
            objects: BTreeMap::new(),
            files: BTreeMap::new(),
            sums: BTreeMap::new(),
            uploads: BTreeMap::new(),
        })))
    }

    /// Handles for handlers.
    pub fn cloud(&self) -> Cloud {
        Cloud {
            store: Store::new(self.clone()),
            queue: Queue::new(self.clone()),
            bucket: Bucket::new(self.clone()),
            // No key of one could be in the other.
            models: Bucket::new(self.clone()),
            sockets: Sockets::new(self.clone()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages queued since the last call.
    pub fn take_queued(&self) -> Vec<Queued> {
        std::mem::take(&mut self.state().queued)
    }

    /// Messages sent to sockets since the last call.
    pub fn take_sent(&self) -> Vec<(ConnectionId, Value)> {
        std::mem::take(&mut self.state().sent)
    }

    /// From now on this connection is gone.
    pub fn close(&self, connection: &ConnectionId) {
        self.state().gone.insert(connection.clone());
    }

    /// From now on sending to the queue fails.
    pub fn break_queue(&self) {
        self.state().queue_fails = true;
    }

    /// Puts an object.
    pub fn put_object(&self, key: &str, size: u64, text: &str) {
        self.state().objects.insert(key.to_owned(), (size, text.to_owned()));
    }

    /// The keys of all objects, for assertions.
    pub fn objects(&self) -> Vec<String> {
        let state = self.state();
        state.objects.keys().chain(state.files.keys()).cloned().collect()
    }

    /// How often the tables were written so far.
    pub fn commits(&self) -> u64 {
        self.state().commits
    }

    /// Every item of the tables, for assertions.
    pub fn items(&self) -> Vec<(Key, Item)> {
        self.state()
            .items
            .iter()
            .map(|(key, item)| (key.clone(), item.clone()))
            .collect()
    }
}
