//! The ports, watched.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use model::ConnectionId;

use super::Faults;
use crate::{
    BoxFuture,
    bucket::{BucketError, BucketPort, Expect, Stored, Whole},
    multipart::{Completed, MultipartPort, NewPart, Object, Part},
    page::{Cursor, Page},
    queue::{QueueError, QueuePort, Queued},
    sockets::{SocketError, SocketPort},
    store::{Batch, Item, StoreError, StorePort, Write},
    tables::{Key, Query},
};

/// A port with an eye on it.
#[derive(Debug)]
pub(super) struct Watched<P: ?Sized> {
    faults: Faults,
    port: Arc<P>,
}

impl<P: ?Sized> Watched<P> {
    pub(super) fn new(faults: &Faults, port: &Arc<P>) -> Self {
        Self {
            faults: faults.clone(),
            port: Arc::clone(port),
        }
    }
}

impl StorePort for Watched<dyn StorePort> {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Item>, StoreError>> {
        let on = format!("{:?}", key.table);
        Box::pin(self.faults.call("store.get", on, || self.port.get(key)))
    }
    fn get_all<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Batch, StoreError>> {
        let tables: BTreeSet<_> = keys.iter().map(|key| key.table).collect();
        let on = format!("{tables:?}");
        Box::pin(self.faults.call("store.get_all", on, || self.port.get_all(keys)))
    }
    fn query<'a>(
        &'a self,
        query: &'a Query,
        after: Option<&'a Cursor>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Page<Item>, StoreError>> {
        let on = format!("{:?}", query.table);
        let make = move || self.port.query(query, after, limit);
        Box::pin(self.faults.call("store.query", on, make))
    }
    fn commit<'a>(&'a self, writes: &'a [Write]) -> BoxFuture<'a, Result<(), StoreError>> {
        let tables: Vec<_> = writes.iter().map(|write| write.key.table).collect();
        let on = format!("{tables:?}");
        // A repeated transaction is known by its token; a single write has none.
        let done = AtomicBool::new(false);
        let make = move || -> BoxFuture<'a, _> {
            if writes.len() > 1 && done.swap(true, Ordering::Relaxed) {
                Box::pin(async { Ok(()) })
            } else {
                self.port.commit(writes)
            }
        };
        Box::pin(self.faults.call("store.commit", on, make))
    }
    fn prime(&self) -> BoxFuture<'_, ()> {
        self.port.prime()
    }
}

impl QueuePort for Watched<dyn QueuePort> {
    fn send<'a>(&'a self, message: &'a Queued) -> BoxFuture<'a, Result<(), QueueError>> {
        let on = message.pool.to_string();
        Box::pin(self.faults.call("queue.send", on, || self.port.send(message)))
    }
    fn prime(&self) -> BoxFuture<'_, ()> {
        self.port.prime()
    }
}

impl SocketPort for Watched<dyn SocketPort> {
    fn send<'a>(&'a self, to: &'a ConnectionId, text: &'a str) -> BoxFuture<'a, Result<(), SocketError>> {
        let on = to.to_string();
        Box::pin(self.faults.call("sockets.send", on, || self.port.send(to, text)))
    }
    fn close<'a>(&'a self, connection: &'a ConnectionId) -> BoxFuture<'a, Result<(), SocketError>> {
        let on = connection.to_string();
        Box::pin(self.faults.call("sockets.close", on, || self.port.close(connection)))
    }
    fn prime(&self) -> BoxFuture<'_, ()> {
        self.port.prime()
    }
}

impl MultipartPort for Watched<dyn MultipartPort> {
    fn begin<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<String, BucketError>> {
        Box::pin(
            self.faults
                .call("masters.begin", key.to_owned(), || self.port.begin(key)),
        )
    }
    fn presign_part<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
        part: &'a NewPart,
        life: Duration,
    ) -> BoxFuture<'a, Result<String, BucketError>> {
        let make = move || self.port.presign_part(key, upload, part, life);
        Box::pin(self.faults.local("masters.presign_part", key.to_owned(), make))
    }
    fn parts<'a>(&'a self, key: &'a str, upload: &'a str) -> BoxFuture<'a, Result<Option<Vec<Part>>, BucketError>> {
        let make = move || self.port.parts(key, upload);
        Box::pin(self.faults.call("masters.parts", key.to_owned(), make))
    }
    fn complete<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
        parts: &'a [Part],
    ) -> BoxFuture<'a, Result<Completed, BucketError>> {
        let make = move || self.port.complete(key, upload, parts);
        Box::pin(self.faults.call("masters.complete", key.to_owned(), make))
    }
    fn abort<'a>(&'a self, key: &'a str, upload: &'a str) -> BoxFuture<'a, Result<(), BucketError>> {
        let make = move || self.port.abort(key, upload);
        Box::pin(self.faults.call("masters.abort", key.to_owned(), make))
    }
    fn object<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Object>, BucketError>> {
        Box::pin(
            self.faults
                .call("masters.object", key.to_owned(), || self.port.object(key)),
        )
    }
    fn read<'a>(
        &'a self,
        key: &'a str,
        object: &'a Object,
        from: u64,
        most: u64,
    ) -> BoxFuture<'a, Result<Bytes, BucketError>> {
        let make = move || self.port.read(key, object, from, most);
        Box::pin(self.faults.call("masters.read", key.to_owned(), make))
    }
    fn discard<'a>(&'a self, key: &'a str, object: &'a Object) -> BoxFuture<'a, Result<(), BucketError>> {
        let make = move || self.port.discard(key, object);
        Box::pin(self.faults.call("masters.discard", key.to_owned(), make))
    }
}

/// Names of the calls to a bucket.
#[derive(Debug)]
pub(super) struct Names {
    presign_put: &'static str,
    presign_put_exactly: &'static str,
    presign_get: &'static str,
    head: &'static str,
    delete: &'static str,
    put: &'static str,
    get: &'static str,
    put_if: &'static str,
    copy: &'static str,
    read: &'static str,
    list: &'static str,
}

macro_rules! names {
    ($bucket:literal) => {
        Names {
            presign_put: concat!($bucket, ".presign_put"),
            presign_put_exactly: concat!($bucket, ".presign_put_exactly"),
            presign_get: concat!($bucket, ".presign_get"),
            head: concat!($bucket, ".head"),
            delete: concat!($bucket, ".delete"),
            put: concat!($bucket, ".put"),
            get: concat!($bucket, ".get"),
            put_if: concat!($bucket, ".put_if"),
            copy: concat!($bucket, ".copy"),
            read: concat!($bucket, ".read"),
            list: concat!($bucket, ".list"),
        }
    };
}

pub(super) static BUCKET: Names = names!("bucket");
pub(super) static MODELS: Names = names!("models");

/// A bucket with an eye on it.
#[derive(Debug)]
pub(super) struct Objects {
    faults: Faults,
    port: Arc<dyn BucketPort>,
    names: &'static Names,
}

impl Objects {
    pub(super) fn new(faults: &Faults, port: &Arc<dyn BucketPort>, names: &'static Names) -> Self {
        Self {
            faults: faults.clone(),
            port: Arc::clone(port),
            names,
        }
    }
}

impl BucketPort for Objects {
    fn presign_put<'a>(
        &'a self,
        key: &'a str,
        size: Option<u64>,
        life: Duration,
    ) -> BoxFuture<'a, Result<String, BucketError>> {
        let make = move || self.port.presign_put(key, size, life);
        Box::pin(self.faults.local(self.names.presign_put, key.to_owned(), make))
    }
    fn presign_put_exactly<'a>(
        &'a self,
        key: &'a str,
        sha256: &'a str,
        size: u64,
        life: Duration,
    ) -> BoxFuture<'a, Result<String, BucketError>> {
        let make = move || self.port.presign_put_exactly(key, sha256, size, life);
        Box::pin(self.faults.local(self.names.presign_put_exactly, key.to_owned(), make))
    }
    fn presign_get<'a>(&'a self, key: &'a str, life: Duration) -> BoxFuture<'a, Result<String, BucketError>> {
        let make = move || self.port.presign_get(key, life);
        Box::pin(self.faults.local(self.names.presign_get, key.to_owned(), make))
    }
    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Stored>, BucketError>> {
        Box::pin(
            self.faults
                .call(self.names.head, key.to_owned(), || self.port.head(key)),
        )
    }
    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(
            self.faults
                .call(self.names.delete, key.to_owned(), || self.port.delete(key)),
        )
    }
    fn put<'a>(&'a self, key: &'a str, text: String) -> BoxFuture<'a, Result<(), BucketError>> {
        let make = move || self.port.put(key, text.clone());
        Box::pin(self.faults.call(self.names.put, key.to_owned(), make))
    }
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<String, BucketError>> {
        Box::pin(self.faults.call(self.names.get, key.to_owned(), || self.port.get(key)))
    }
    fn put_if<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        expect: Expect<'a>,
    ) -> BoxFuture<'a, Result<bool, BucketError>> {
        let make = move || self.port.put_if(key, bytes.clone(), expect);
        Box::pin(self.faults.call(self.names.put_if, key.to_owned(), make))
    }
    fn copy<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<bool, BucketError>> {
        let make = move || self.port.copy(from, to);
        Box::pin(self.faults.call(self.names.copy, from.to_owned(), make))
    }
    fn read<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Whole>, BucketError>> {
        Box::pin(
            self.faults
                .call(self.names.read, key.to_owned(), || self.port.read(key)),
        )
    }
    fn part<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, Result<Option<Bytes>, BucketError>> {
        let make = move || self.port.part(key, range.clone());
        Box::pin(self.faults.call(self.names.read, key.to_owned(), make))
    }
    fn list<'a>(&'a self, prefix: &'a str, after: Option<&'a str>) -> BoxFuture<'a, Result<Vec<String>, BucketError>> {
        let make = move || self.port.list(prefix, after);
        Box::pin(self.faults.call(self.names.list, prefix.to_owned(), make))
    }
    fn prime(&self) -> BoxFuture<'_, ()> {
        self.port.prime()
    }
}
