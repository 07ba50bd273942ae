//! Items that were read before they are asked for, so that one call reads many.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    BoxFuture,
    page::{Cursor, Page},
    store::{Batch, Item, StoreError, StorePort, Write},
    tables::{Key, Query},
};

/// A store of which some items are read already. Each is given out once.
#[derive(Debug)]
pub(crate) struct Ahead {
    port: Arc<dyn StorePort>,
    items: Mutex<BTreeMap<Key, Option<Item>>>,
}

impl Ahead {
    pub(crate) fn new(port: Arc<dyn StorePort>, items: BTreeMap<Key, Option<Item>>) -> Self {
        let items = Mutex::new(items);
        Self { port, items }
    }

    fn items(&self) -> MutexGuard<'_, BTreeMap<Key, Option<Item>>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StorePort for Ahead {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Item>, StoreError>> {
        let read = self.items().remove(key);
        match read {
            Some(item) => Box::pin(async { Ok(item) }),
            None => self.port.get(key),
        }
    }
    fn get_all<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Batch, StoreError>> {
        self.port.get_all(keys)
    }
    fn query<'a>(
        &'a self,
        query: &'a Query,
        after: Option<&'a Cursor>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Page<Item>, StoreError>> {
        self.port.query(query, after, limit)
    }
    fn commit<'a>(&'a self, writes: &'a [Write]) -> BoxFuture<'a, Result<(), StoreError>> {
        let mut items = self.items();
        for write in writes {
            items.remove(&write.key);
        }
        drop(items);
        self.port.commit(writes)
    }
    fn prime(&self) -> BoxFuture<'_, ()> {
        self.port.prime()
    }
}
