//! The tables as a store of versioned items.
//!
//! Every write is conditioned on the version that was read, so a decision made on a snapshot is carried out only if
//! the snapshot still holds; two writes of one transition are one transaction.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use model::metrics::CONFLICTS;
use serde::de::DeserializeOwned;
use serde_dynamo::AttributeValue;
use serde_json::{Map, Value};

use crate::{
    BoxError, BoxFuture,
    ahead::Ahead,
    aws::CallError,
    page::{Cursor, Page},
    tables::{Entity, Extent, Id, Key, List, Query, Table},
    unknown::Unknown,
};

/// An item, as JSON.
pub type Item = Map<String, Value>;

/// Something went wrong with a table.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else wrote in between: read again and decide again.
    #[error("an item changed in between")]
    Conflict,
    /// An item cannot be read or written as its type.
    #[error("an item of {table:?} does not fit its type")]
    Shape {
        /// The table.
        table: Table,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// A list that is wanted whole has more than [`Query::MOST`] entries.
    #[error("a list from {table:?} has more than {} entries", Query::MOST)]
    TooLong {
        /// The table.
        table: Table,
    },
    /// A cursor is not of the list that it was given for.
    #[error("this is no place in that list of {table:?}")]
    Cursor {
        /// The table.
        table: Table,
    },
    /// DynamoDB or the way to it.
    #[error("the tables cannot be used")]
    Aws(#[from] CallError),
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Conflict => true,
            Self::Shape { .. } | Self::TooLong { .. } | Self::Cursor { .. } => false,
            Self::Aws(error) => error.retryable,
        }
    }

    fn shape(table: Table, source: impl Into<BoxError>) -> Self {
        Self::Shape {
            table,
            source: source.into(),
        }
    }
}

/// A write, conditioned on the version that was read.
#[derive(Debug, Clone)]
pub struct Write {
    /// Where.
    pub key: Key,
    /// The version that must still be there; 0: nothing may be there.
    pub expect: u64,
    /// What to put; none to delete.
    pub item: Option<Item>,
}

impl Write {
    /// Puts the entity and raises its version. If the commit fails the entity is stale: read it again.
    pub fn put<E: Entity>(entity: &mut E) -> Result<Self, StoreError> {
        let expect = *entity.version_mut();
        *entity.version_mut() = expect + 1;
        let key = entity.key();
        let shape = |source| StoreError::shape(key.table, source);
        // JSON has no such numbers and would put nothing in their place, without a word.
        let attributes: AttributeValue =
            serde_dynamo::to_attribute_value(&*entity).map_err(|error| shape(BoxError::from(error)))?;
        if !is_finite(&attributes) {
            return Err(shape("a number is not finite".into()));
        }
        let Value::Object(mut item) = serde_json::to_value(&*entity).map_err(|error| shape(error.into()))? else {
            return Err(shape("it is no object".into()));
        };
        let (partition, sort) = key.table.key();
        item.insert(partition.to_owned(), Value::String(key.partition.clone()));
        if let (Some(sort), Some(value)) = (sort, &key.sort) {
            item.insert(sort.to_owned(), Value::String(value.clone()));
        }
        Ok(Self {
            key,
            expect,
            item: Some(item),
        })
    }

    /// Deletes the entity.
    pub fn delete<E: Entity>(entity: &mut E) -> Self {
        Self {
            key: entity.key(),
            expect: *entity.version_mut(),
            item: None,
        }
    }
}

fn is_finite(value: &AttributeValue) -> bool {
    match value {
        AttributeValue::N(number) => number.bytes().all(|it| !it.is_ascii_alphabetic()),
        AttributeValue::L(list) => list.iter().all(is_finite),
        AttributeValue::M(map) => map.values().all(is_finite),
        _ => true,
    }
}

/// What was read with one call.
#[derive(Debug, Default)]
pub struct Batch {
    /// What lies at each key that was looked at, and is there; none if it cannot be read, which is logged.
    pub items: BTreeMap<Key, Option<Item>>,
    /// Keys that were not looked at.
    pub left: Vec<Key>,
}

/// What a store must be able to do.
pub trait StorePort: std::fmt::Debug + Send + Sync {
    /// Reads one item consistently.
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Item>, StoreError>>;
    /// Reads up to [`Store::AT_ONCE`] different items of any tables, each consistently, with one call. It may leave out some
    /// of them, by size or load, and says which.
    fn get_all<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Batch, StoreError>>;
    /// Reads a page of a list: at most `limit` entries, perhaps fewer, from behind the cursor on. From an index it is
    /// eventually consistent, from the table itself consistent.
    fn query<'a>(
        &'a self,
        query: &'a Query,
        after: Option<&'a Cursor>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Page<Item>, StoreError>>;
    /// Carries out all writes or none.
    fn commit<'a>(&'a self, writes: &'a [Write]) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Makes the client ready.
    fn prime(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// So often a batch may get nowhere.
const BATCH_TRIES: u32 = 4;

/// The tables.
#[derive(Debug, Clone)]
pub struct Store {
    port: Arc<dyn StorePort>,
    unknown: Arc<Unknown>,
}

impl Store {
    /// A store over this port.
    pub fn new(port: impl StorePort + 'static) -> Self {
        Self {
            port: Arc::new(port),
            unknown: Arc::default(),
        }
    }

    /// The tables with these names on DynamoDB.
    pub fn dynamo(sdk: &aws_config::SdkConfig, names: crate::tables::TableNames) -> Self {
        Self::new(crate::dynamo::Dynamo::new(sdk, names))
    }

    /// The same, alone and primed, for whoever needs nothing else of AWS.
    pub async fn connect(names: crate::tables::TableNames) -> Self {
        let store = Self::dynamo(&crate::sdk_config().await, names);
        // A failed or slow prime costs nothing but its gain.
        let _ = tokio::time::timeout(crate::PRIMING, store.port.prime()).await;
        store
    }

    /// What is below, for whoever wraps or tests it.
    pub fn port(&self) -> &Arc<dyn StorePort> {
        &self.port
    }

    /// Reads one entity consistently. What a later release has added to it is put back when it is written.
    pub async fn get<I: Id>(&self, id: &I) -> Result<Option<I::Entity>, StoreError> {
        let key = id.key();
        if !key.may_be() {
            return Ok(None);
        }
        let Some(item) = self.port.get(&key).await? else {
            return Ok(None);
        };
        let table = key.table;
        let entity = self.unknown.read(key, &Value::Object(item));
        entity.map(Some).map_err(|error| StoreError::shape(table, error))
    }

    /// The same, where what cannot be read is as good as not there: another release wrote it, and it is left alone.
    pub async fn get_readable<I: Id>(&self, id: &I) -> Result<Option<I::Entity>, StoreError> {
        match self.get(id).await {
            Err(error @ StoreError::Shape { .. }) => {
                tracing::error!(key = ?id.key(), error = crate::chain(&error), "an item cannot be read, and is left alone");
                Ok(None)
            }
            read => read,
        }
    }

    /// Most items that are read at once: what `BatchGetItem` takes.
    pub const AT_ONCE: usize = 100;

    /// Reads entities consistently, [`Self::AT_ONCE`] with each call, to be shown and not written. One that is not there, or
    /// cannot be read, is none.
    pub async fn get_all<I: Id>(&self, ids: &[I]) -> Result<Vec<Option<I::Entity>>, StoreError> {
        let wanted: Vec<_> = ids.iter().map(Id::key).collect();
        let found = self.batches(wanted.iter().cloned().collect()).await?;
        let read = |key: Key| readable(key.table, found.get(&key)?.as_ref()?);
        Ok(wanted.into_iter().map(read).collect())
    }

    /// Reads all of these, and again what a call has left out.
    async fn batches(&self, keys: BTreeSet<Key>) -> Result<BTreeMap<Key, Option<Item>>, StoreError> {
        let mut keys: Vec<_> = keys.into_iter().filter(Key::may_be).collect();
        let (mut found, mut tries) = (BTreeMap::new(), 0);
        while !keys.is_empty() {
            let rest = keys.split_off(keys.len().min(Self::AT_ONCE));
            let mut batch = self.port.get_all(&keys).await?;
            if batch.left.len() >= keys.len() {
                tries += 1;
                if tries >= BATCH_TRIES {
                    return Err(CallError::passing("dynamodb BatchGetItem", "all keys were left unprocessed").into());
                }
            }
            if !batch.left.is_empty() {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=4 << tries))).await;
            }
            found.append(&mut batch.items);
            keys = batch.left;
            keys.extend(rest);
        }
        Ok(found)
    }

    /// The same tables, of which these items are read already, each consistently, with a call for those of [`Table::Accounts`]
    /// beside one for all others. Each is given out once: what is asked for again is read again, as after a conflict, and so is
    /// what was written through this meanwhile. It is for one request, and to be dropped with it.
    pub async fn ahead(&self, keys: impl IntoIterator<Item = Key> + Send) -> Result<Self, StoreError> {
        let keys: BTreeSet<_> = keys.into_iter().collect();
        // Who may read which accounts is said by their keys, and of a call over several tables AWS does not say whose keys it
        // holds against that.
        let (accounts, others) = keys.iter().cloned().partition(|key| key.table == Table::Accounts);
        let (mut found, mut others) = tokio::try_join!(self.batches(accounts), self.batches(others))?;
        found.append(&mut others);
        let read = keys.into_iter().filter_map(|key| match found.remove(&key) {
            // Whoever wants it asks for it and is told what is wrong with it.
            Some(None) => None,
            Some(item) => Some((key, item)),
            None => Some((key, None)),
        });
        Ok(Self {
            port: Arc::new(Ahead::new(Arc::clone(&self.port), read.collect())),
            unknown: Arc::clone(&self.unknown),
        })
    }

    /// Reads a list, as much of it as is wanted. Items that cannot be read as entries are left out, and logged: one that
    /// is broken must not take the others along.
    pub async fn list<L: List>(&self, list: L) -> Result<Vec<L::Entry>, StoreError> {
        let query = list.query();
        if !query.may_be() {
            return Ok(Vec::new());
        }
        let (mut entries, mut seen, mut after) = (Vec::new(), 0, None);
        loop {
            let limit = match query.extent {
                // One more than there may be, so that it shows.
                Extent::Whole => Query::MOST + 1 - seen,
                Extent::First(most) => most.saturating_sub(count(&entries)),
            };
            if limit == 0 {
                return Ok(entries);
            }
            let page = self.port.query(&query, after.as_ref(), limit).await?;
            seen += count(&page.entries);
            if query.extent == Extent::Whole && seen > Query::MOST {
                tracing::error!(table = ?query.table, partition = query.partition, most = Query::MOST, "a list is too long");
                return Err(StoreError::TooLong { table: query.table });
            }
            entries.extend(page.entries.into_iter().filter_map(|item| readable(query.table, &item)));
            after = page.next;
            if after.is_none() {
                return Ok(entries);
            }
        }
    }

    /// Reads a page of a list, from behind the cursor on: at most `limit` entries, perhaps fewer. Items that cannot be
    /// read as entries are left out, and logged.
    pub async fn page<L: List>(
        &self,
        list: L,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<L::Entry>, StoreError> {
        let query = list.query();
        if !query.may_be() {
            return Ok(Page {
                entries: Vec::new(),
                next: None,
            });
        }
        let page = self.port.query(&query, after, limit).await?;
        let entries = page.entries.into_iter();
        Ok(Page {
            entries: entries.filter_map(|item| readable(query.table, &item)).collect(),
            next: page.next,
        })
    }

    /// Carries out all writes or none.
    pub async fn commit<const N: usize>(&self, writes: [Write; N]) -> Result<(), StoreError> {
        self.commit_all(&writes).await
    }

    /// Carries out all writes or none.
    pub async fn commit_all(&self, writes: &[Write]) -> Result<(), StoreError> {
        if writes.is_empty() {
            return Ok(());
        }
        let done = match self.unknown.put_back(writes) {
            Some(whole) => self.port.commit(&whole).await,
            None => self.port.commit(writes).await,
        };
        if matches!(done, Err(StoreError::Conflict)) {
            crate::metrics::note([CONFLICTS.of(1.0)], &[]);
        }
        done
    }
}

fn count<T>(entries: &[T]) -> u32 {
    u32::try_from(entries.len()).unwrap_or(u32::MAX)
}

/// The item as an entry. What it holds is not logged: only where it lies and which part of it does not fit.
fn readable<T: DeserializeOwned>(table: Table, item: &Item) -> Option<T> {
    let entry = serde_path_to_error::deserialize(item);
    let log = |error: &serde_path_to_error::Error<_>| {
        let of = |name: &str| item.get(name).and_then(Value::as_str);
        let (partition, sort) = table.key();
        unreadable(table, of(partition), sort.and_then(of), &error.path().to_string());
    };
    entry.inspect_err(log).ok()
}

/// Says that the item with these keys is left out of a list.
pub(crate) fn unreadable(table: Table, partition: Option<&str>, sort: Option<&str>, at: &str) {
    tracing::error!(
        ?table,
        partition,
        sort,
        at,
        "an item of a list cannot be read and is left out"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fault::Faults,
        memory::{Memory, Unkind},
        tables::{Backlog, PresenceIn, PresenceOf, SignInOf},
    };
    use model::{Millis, PoolId, Presence, UserId};
    use serde_json::json;

    fn pool() -> PoolId {
        PoolId::new("p")
    }

    fn presence(user: u32) -> Write {
        let mut presence = Presence {
            pool: pool(),
            user: UserId::new(format!("u{user:05}")),
            version: 0,
            since: Millis(0),
            at: Millis(0),
            asked_at: None,
            watched: false,
            ttl: 0,
        };
        Write::put(&mut presence).unwrap()
    }

    async fn store_of(many: u32, unkind: Unkind) -> (Store, Memory) {
        let memory = Memory::new(unkind);
        let store = memory.cloud().store;
        let writes: Vec<_> = (0..many).map(presence).collect();
        for writes in writes.chunks(100) {
            store.commit_all(writes).await.unwrap();
        }
        (store, memory)
    }

    fn short_pages() -> Unkind {
        Unkind {
            conflict_percent: 0,
            ..Unkind::seeded(1)
        }
    }

    #[tokio::test]
    async fn a_whole_list_is_whole_or_an_error() {
        let pool = pool();
        let (store, _) = store_of(20, short_pages()).await;
        let all = store.list(PresenceIn(&pool)).await.unwrap();
        let users: Vec<_> = all.iter().map(|it| it.user.to_string()).collect();
        let wanted: Vec<_> = (0..20).map(|user| format!("u{user:05}")).collect();
        assert_eq!(users, wanted);

        let (store, _) = store_of(Query::MOST, Unkind::NOT).await;
        assert_eq!(store.list(PresenceIn(&pool)).await.unwrap().len(), Query::MOST as usize);
        store.commit([presence(Query::MOST)]).await.unwrap();
        let error = store.list(PresenceIn(&pool)).await.unwrap_err();
        assert!(
            matches!(error, StoreError::TooLong { .. }) && !error.is_retryable(),
            "{error}"
        );
        // A part of it is still to be had.
        let page = store.page(PresenceIn(&pool), None, 10).await.unwrap();
        assert!(page.entries.len() == 10 && page.next.is_some());
    }

    /// As somebody may send it: DynamoDB would refuse to look for it.
    #[tokio::test]
    async fn what_has_too_long_a_key_is_not_there() {
        let (store, _) = store_of(1, short_pages()).await;
        let long = "\u{1f469}".repeat(513);
        let (code, user, pool) = (SignInOf(long.clone()), UserId::new(&long), PoolId::new(&long));
        assert!(store.get(&code).await.unwrap().is_none());
        let presence = store.get(&PresenceOf(self::pool(), user)).await;
        assert!(presence.unwrap().is_none());
        assert!(store.get_all(std::slice::from_ref(&code)).await.unwrap()[0].is_none());
        let early = store.ahead([code.key()]).await.unwrap();
        assert!(early.get(&code).await.unwrap().is_none());
        assert!(store.list(PresenceIn(&pool)).await.unwrap().is_empty());
        let page = store.page(PresenceIn(&pool), None, 1).await.unwrap();
        assert!(page.entries.is_empty() && page.next.is_none());
    }

    #[tokio::test]
    async fn an_item_that_cannot_be_read_takes_no_other_along() {
        let pool = pool();
        let (store, _) = store_of(5, short_pages()).await;
        let mut broken = presence(3);
        broken.expect = 1;
        let item = broken.item.as_mut().unwrap();
        item.insert("since".to_owned(), json!({ "not": "a moment" }));
        store.commit([broken]).await.unwrap();
        assert_eq!(store.list(PresenceIn(&pool)).await.unwrap().len(), 4);
        let whole = store.page(PresenceIn(&pool), None, 3).await.unwrap();
        assert_eq!(whole.entries.len(), 3);
        let rest = store.page(PresenceIn(&pool), whole.next.as_ref(), 3).await.unwrap();
        assert_eq!(rest.entries.len(), 1);

        // Who asks for the first gets the first that can be read.
        let (store, memory) = store_of(0, Unkind::NOT).await;
        for (task, tag) in [("a", 1), ("b", 2)] {
            let task = format!("01a05cd7-2a00-7000-8000-0000000000{task}1");
            let mut item = json!({
                "task_id": task, "version": 1, "backlog": "p", "start_tag": tag, "owner": "mara", "team": "studio",
                "lane": "interactive", "work": 1, "created": 1, "expires_at": 1, "seen_at": 1,
            });
            if tag == 1 {
                item["lane"] = "of no kind".into();
            }
            let write = Write {
                key: Key {
                    table: Table::Tasks,
                    partition: task,
                    sort: None,
                },
                expect: 0,
                item: serde_json::from_value(item).unwrap(),
            };
            StorePort::commit(&memory, &[write]).await.unwrap();
        }
        let first = store.list(Backlog(&pool, 1)).await.unwrap();
        assert_eq!(first.iter().map(|it| it.start_tag).collect::<Vec<_>>(), [2]);
        assert!(store.list(Backlog(&pool, 0)).await.unwrap().is_empty());
    }

    /// Calls to the tables, by what they are.
    fn names(faults: &Faults) -> Vec<&'static str> {
        faults.take().iter().map(|call| call.name).collect()
    }

    fn presence_of(user: u32) -> PresenceOf {
        PresenceOf(pool(), UserId::new(format!("u{user:05}")))
    }

    #[tokio::test]
    async fn a_batch_that_is_left_half_done_is_read_to_its_end() {
        let most = u32::try_from(Store::AT_ONCE).unwrap() + 30;
        let ids: Vec<_> = (0..most).map(presence_of).collect();
        for seed in 0..20 {
            let unkind = Unkind {
                conflict_percent: 0,
                left_percent: 80,
                ..Unkind::seeded(seed)
            };
            let (store, _) = store_of(most - 1, unkind).await;
            let read = store.get_all(&ids).await.unwrap();
            let there: Vec<_> = read.iter().map(Option::is_some).collect();
            let wanted: Vec<_> = (0..most).map(|user| user < most - 1).collect();
            assert_eq!(there, wanted);
        }
    }

    #[tokio::test]
    async fn what_is_read_ahead_is_given_out_once_and_never_after_a_write() {
        let (faults, (_, memory)) = (Faults::default(), store_of(3, Unkind::NOT).await);
        let store = faults.cloud(&memory.cloud()).store;
        let keys = [0, 1, 7, 1].map(|user| presence_of(user).key());
        let early = store.ahead(keys).await.unwrap();
        assert_eq!(names(&faults), ["store.get_all"]);

        let mut one = early.get(&presence_of(1)).await.unwrap().unwrap();
        assert!(early.get(&presence_of(7)).await.unwrap().is_none());
        assert!(names(&faults).is_empty(), "they were read already");
        assert!(early.get(&presence_of(2)).await.unwrap().is_some());
        assert_eq!(names(&faults), ["store.get"], "nobody has foreseen it");

        // Somebody else writes: the decision is made on what was read, its write conflicts, and then all is read again.
        let mut other = store.get(&presence_of(1)).await.unwrap().unwrap();
        other.watched = true;
        store.commit([Write::put(&mut other).unwrap()]).await.unwrap();
        let conflict = early.commit([Write::put(&mut one).unwrap()]).await;
        assert!(matches!(conflict, Err(StoreError::Conflict)), "{conflict:?}");
        assert!(early.get(&presence_of(1)).await.unwrap().unwrap().watched);

        // What was written through it is not as it was read.
        let mut zero = store.get(&presence_of(0)).await.unwrap().unwrap();
        zero.watched = true;
        early.commit([Write::put(&mut zero).unwrap()]).await.unwrap();
        assert!(early.get(&presence_of(0)).await.unwrap().unwrap().watched);
    }

    #[tokio::test]
    async fn what_is_read_ahead_and_cannot_be_read_is_still_told_apart_from_nothing() {
        let (store, _) = store_of(1, Unkind::NOT).await;
        let mut broken = presence(0);
        broken.expect = 1;
        let item = broken.item.as_mut().unwrap();
        item.insert("since".to_owned(), json!({ "not": "a moment" }));
        store.commit([broken]).await.unwrap();
        let early = store.ahead([presence_of(0).key()]).await.unwrap();
        let read = early.get(&presence_of(0)).await;
        assert!(matches!(read, Err(StoreError::Shape { .. })), "{read:?}");
    }

    #[tokio::test]
    async fn accounts_are_not_read_ahead_with_anything_else() {
        let faults = Faults::default();
        let store = faults.cloud(&Memory::new(Unkind::NOT).cloud()).store;
        let keys = [presence_of(0).key(), UserId::new("mara").key(), pool().key()];
        store.ahead(keys).await.unwrap();
        let mut on: Vec<_> = faults.take().into_iter().map(|call| call.on).collect();
        on.sort();
        assert_eq!(on, ["{Accounts}", "{Pools}"]);
        store.ahead([]).await.unwrap();
        assert!(names(&faults).is_empty());
    }

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Odd {
        version: u64,
        numbers: Vec<f64>,
    }

    impl Entity for Odd {
        fn key(&self) -> Key {
            Key {
                table: Table::Tasks,
                partition: "odd".to_owned(),
                sort: None,
            }
        }
        fn version_mut(&mut self) -> &mut u64 {
            &mut self.version
        }
    }

    #[test]
    fn a_number_that_json_has_not_is_refused() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut odd = Odd {
                version: 0,
                numbers: vec![1.0, bad],
            };
            let error = Write::put(&mut odd).unwrap_err();
            assert!(
                matches!(error, StoreError::Shape { .. }) && !error.is_retryable(),
                "{error}"
            );
        }
    }
}
