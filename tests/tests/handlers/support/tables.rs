//! What the tables have, and putting things there as no handler would.

use cloud::{
    Write,
    memory::Memory,
    tables::{Entity, Id, Table},
};
use model::{Pool, PoolId, Task, TaskId, Worker, WorkerId};
use serde_json::Value;

use super::{POOL, World};

impl World {
    /// Puts an entity past all chance and lag.
    pub(crate) async fn put<E: Entity>(&self, mut entity: E) {
        loop {
            let write = Write::put(&mut entity).unwrap();
            let mut raw = vec![write];
            raw[0].expect = version_of(&self.memory, &raw[0].key);
            if cloud::store::StorePort::commit(&self.memory, &raw).await.is_ok() {
                return;
            }
        }
    }

    /// Makes an item one that cannot be read: it has its keys and nothing else.
    pub(crate) async fn damage(&self, id: &impl Id) {
        let key = id.key();
        let (partition, sort) = key.table.key();
        let mut item = cloud::store::Item::new();
        item.insert("version".to_owned(), 1.into());
        item.insert(partition.to_owned(), key.partition.clone().into());
        if let (Some(name), Some(place)) = (sort, key.sort.clone()) {
            item.insert(name.to_owned(), place.into());
        }
        let write = Write {
            expect: version_of(&self.memory, &key),
            key,
            item: Some(item),
        };
        cloud::store::StorePort::commit(&self.memory, &[write]).await.unwrap();
    }

    pub(crate) async fn get<I: Id>(&self, id: &I) -> I::Entity {
        self.port.get(id).await.expect("the item is there")
    }

    pub(crate) async fn task(&self, id: &TaskId) -> Task {
        self.get(id).await
    }

    pub(crate) async fn worker(&self, id: &str) -> Worker {
        self.get(&WorkerId::new(id)).await
    }

    /// Changes a worker as no handler would.
    pub(crate) async fn alter_worker(&self, id: &str, change: impl FnOnce(&mut Worker)) -> Worker {
        let mut worker = self.worker(id).await;
        change(&mut worker);
        self.put(worker).await;
        self.worker(id).await
    }

    /// Changes the pool as no handler would.
    pub(crate) async fn alter_pool(&self, change: impl FnOnce(&mut Pool)) {
        let mut pool = self.get(&PoolId::new(POOL)).await;
        change(&mut pool);
        self.put(pool).await;
    }

    /// Changes a task as no handler would.
    pub(crate) async fn alter_task(&self, id: &TaskId, change: impl FnOnce(&mut Task)) {
        let mut task = self.task(id).await;
        change(&mut task);
        self.put(task).await;
    }

    /// Every item of one table.
    pub(crate) fn all<T: serde::de::DeserializeOwned>(&self, table: Table) -> Vec<T> {
        self.memory
            .items()
            .into_iter()
            .filter(|(key, _)| key.table == table)
            .map(|(_, item)| serde_json::from_value(Value::Object(item)).unwrap())
            .collect()
    }

    pub(crate) fn tasks(&self) -> Vec<Task> {
        self.all(Table::Tasks)
    }

    pub(crate) fn workers(&self) -> Vec<Worker> {
        self.all(Table::Fleet)
    }
}

fn version_of(memory: &Memory, key: &cloud::tables::Key) -> u64 {
    let items = memory.items();
    let found = items.iter().find(|(it, _)| it == key);
    found.and_then(|(_, item)| item["version"].as_u64()).unwrap_or(0)
}
