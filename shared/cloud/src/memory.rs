//! Everything of AWS in memory, and unkind where the emulator is too kind: index reads lag, transactions conflict for
//! no reason, messages are doubled, reordered and lost, sockets are gone.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use model::ConnectionId;
use serde_json::Value;

use crate::{
    BoxFuture, Bucket, Cloud, Queue, Sockets, Store,
    bucket::{BucketError, BucketPort, Stored},
    queue::{QueueError, QueuePort, Queued},
    sockets::{SocketError, SocketPort},
    store::{Item, StoreError, StorePort, Write},
    tables::{Key, Query},
};

/// How unkind to be.
#[derive(Debug, Clone, Copy)]
pub struct Unkind {
    /// Seed of all chance.
    pub seed: u64,
    /// Index reads do not show up to this many of the newest writes.
    pub index_lag: usize,
    /// Share of commits that conflict for no reason, percent.
    pub conflict_percent: u8,
}

impl Unkind {
    /// As kind as the emulator.
    pub const NOT: Self = Self {
        seed: 0,
        index_lag: 0,
        conflict_percent: 0,
    };

    /// Rather unkind, by this seed.
    pub const fn seeded(seed: u64) -> Self {
        Self {
            seed,
            index_lag: 5,
            conflict_percent: 20,
        }
    }
}

#[derive(Debug)]
struct State {
    unkind: Unkind,
    chance: fastrand::Rng,
    items: BTreeMap<Key, Item>,
    indexed: BTreeMap<Key, Item>,
    not_indexed: VecDeque<(Key, Option<Item>)>,
    queued: Vec<Queued>,
    queue_fails: bool,
    sent: Vec<(ConnectionId, Value)>,
    gone: BTreeSet<ConnectionId>,
    objects: BTreeMap<String, (u64, String)>,
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
            items: BTreeMap::new(),
            indexed: BTreeMap::new(),
            not_indexed: VecDeque::new(),
            queued: Vec::new(),
            queue_fails: false,
            sent: Vec::new(),
            gone: BTreeSet::new(),
            objects: BTreeMap::new(),
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

    /// Every item of the tables, for assertions.
    pub fn items(&self) -> Vec<(Key, Item)> {
        self.state()
            .items
            .iter()
            .map(|(key, item)| (key.clone(), item.clone()))
            .collect()
    }
}

fn version(item: Option<&Item>) -> u64 {
    item.and_then(|item| item.get("version"))
        .and_then(Value::as_u64)
        .unwrap_or(0)
}

impl State {
    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let unlucky = self.unkind.conflict_percent > 0 && self.chance.u8(0..100) < self.unkind.conflict_percent;
        if unlucky
            || writes
                .iter()
                .any(|write| version(self.items.get(&write.key)) != write.expect)
        {
            return Err(StoreError::Conflict);
        }
        for write in writes {
            match &write.item {
                Some(item) => drop(self.items.insert(write.key.clone(), item.clone())),
                None => drop(self.items.remove(&write.key)),
            }
            self.not_indexed.push_back((write.key.clone(), write.item.clone()));
        }
        let lag = if self.unkind.index_lag == 0 {
            0
        } else {
            self.chance.usize(0..=self.unkind.index_lag)
        };
        self.index(lag);
        Ok(())
    }

    fn index(&mut self, lag: usize) {
        while self.not_indexed.len() > lag {
            match self.not_indexed.pop_front() {
                Some((key, Some(item))) => drop(self.indexed.insert(key, item)),
                Some((key, None)) => drop(self.indexed.remove(&key)),
                None => break,
            }
        }
    }

    fn query(&mut self, query: &Query) -> Vec<Item> {
        // Some of what is behind catches up at each read, as time would have it.
        let behind = self.not_indexed.len();
        let lag = if behind == 0 { 0 } else { self.chance.usize(0..=behind) };
        self.index(lag);
        let mut found: Vec<Item> = self
            .indexed
            .iter()
            .filter(|(key, item)| {
                let key_names = key.table.key();
                let partition = item.get(query.attribute).and_then(Value::as_str);
                let ordered = query
                    .order
                    .is_none_or(|name| item.contains_key(name) || key_names.1 == Some(name));
                key.table == query.table && partition == Some(&query.partition) && ordered
            })
            .map(|(_, item)| item.clone())
            .collect();
        if let Some(order) = query.order {
            found.sort_by_key(|item| item.get(order).and_then(Value::as_u64).unwrap_or(0));
        }
        found.truncate(query.limit as usize);
        found
    }
}

impl StorePort for Memory {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Item>, StoreError>> {
        Box::pin(async move { Ok(self.state().items.get(key).cloned()) })
    }
    fn query<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Result<Vec<Item>, StoreError>> {
        Box::pin(async move { Ok(self.state().query(query)) })
    }
    fn commit<'a>(&'a self, writes: &'a [Write]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.state().commit(writes) })
    }
}

impl QueuePort for Memory {
    fn send<'a>(&'a self, message: &'a Queued) -> BoxFuture<'a, Result<(), QueueError>> {
        Box::pin(async move {
            let mut state = self.state();
            if state.queue_fails {
                return Err(QueueError("the queue is broken".into()));
            }
            state.queued.push(message.clone());
            Ok(())
        })
    }
    fn prime(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

impl SocketPort for Memory {
    fn send<'a>(&'a self, to: &'a ConnectionId, text: &'a str) -> BoxFuture<'a, Result<(), SocketError>> {
        Box::pin(async move {
            let mut state = self.state();
            if state.gone.contains(to) {
                return Err(SocketError::Gone);
            }
            let value = serde_json::from_str(text).map_err(|error| SocketError::Aws(error.into()))?;
            state.sent.push((to.clone(), value));
            Ok(())
        })
    }
}

impl BucketPort for Memory {
    fn presign_put<'a>(&'a self, key: &'a str, _: Duration) -> BoxFuture<'a, Result<String, BucketError>> {
        Box::pin(async move { Ok(format!("memory:put/{key}")) })
    }
    fn presign_put_exactly<'a>(
        &'a self,
        key: &'a str,
        sha256: &'a str,
        size: u64,
        _: Duration,
    ) -> BoxFuture<'a, Result<String, BucketError>> {
        Box::pin(async move { Ok(format!("memory:put/{key}?sha256={sha256}&size={size}")) })
    }
    fn presign_get<'a>(&'a self, key: &'a str, _: Duration) -> BoxFuture<'a, Result<String, BucketError>> {
        Box::pin(async move { Ok(format!("memory:get/{key}")) })
    }
    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Stored>, BucketError>> {
        Box::pin(async move {
            let state = self.state();
            Ok(state.objects.get(key).map(|(size, _)| Stored {
                size: *size,
                etag: format!("etag-of-{key}"),
            }))
        })
    }
    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            self.state().objects.remove(key);
            Ok(())
        })
    }
    fn put<'a>(&'a self, key: &'a str, text: String) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            self.put_object(key, text.len() as u64, &text);
            Ok(())
        })
    }
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<String, BucketError>> {
        Box::pin(async move {
            let text = self.state().objects.get(key).map(|(_, text)| text.clone());
            text.ok_or_else(|| BucketError {
                operation: "GetObject",
                source: "there is no such object".into(),
            })
        })
    }
}
