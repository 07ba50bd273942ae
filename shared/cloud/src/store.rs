//! The tables as a store of versioned items.
//!
//! Every write is conditioned on the version that was read, so a decision made on a snapshot is carried out only if
//! the snapshot still holds; two writes of one transition are one transaction.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{
    BoxError, BoxFuture,
    tables::{Entity, Id, Key, List, Query},
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
        table: crate::tables::Table,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// DynamoDB or the way to it.
    #[error("dynamodb {operation} failed")]
    Aws {
        /// Which call.
        operation: &'static str,
        /// Whether the same call may succeed later.
        retryable: bool,
        /// Why.
        #[source]
        source: BoxError,
    },
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Conflict => true,
            Self::Shape { .. } => false,
            Self::Aws { retryable, .. } => *retryable,
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
        let shape = |source| StoreError::Shape {
            table: key.table,
            source,
        };
        let value = serde_json::to_value(&*entity).map_err(shape)?;
        let mut item: Item = serde_json::from_value(value).map_err(shape)?;
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

/// What a store must be able to do.
pub trait StorePort: std::fmt::Debug + Send + Sync {
    /// Reads one item consistently.
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Item>, StoreError>>;
    /// Reads a list, eventually consistent.
    fn query<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Result<Vec<Item>, StoreError>>;
    /// Carries out all writes or none.
    fn commit<'a>(&'a self, writes: &'a [Write]) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// The tables.
#[derive(Debug, Clone)]
pub struct Store(Arc<dyn StorePort>);

impl Store {
    /// A store over this port.
    pub fn new(port: impl StorePort + 'static) -> Self {
        Self(Arc::new(port))
    }

    /// The tables with these names on DynamoDB.
    pub fn dynamo(sdk: &aws_config::SdkConfig, names: crate::tables::TableNames) -> Self {
        Self::new(crate::dynamo::Dynamo::new(sdk, names))
    }

    /// Reads one entity consistently.
    pub async fn get<I: Id>(&self, id: &I) -> Result<Option<I::Entity>, StoreError> {
        let key = id.key();
        let item = self.0.get(&key).await?;
        item.map(|item| serde_json::from_value(Value::Object(item)))
            .transpose()
            .map_err(|source| StoreError::Shape {
                table: key.table,
                source,
            })
    }

    /// Reads a list that may lag behind.
    pub async fn list<L: List>(&self, list: L) -> Result<Vec<L::Entry>, StoreError> {
        let query = list.query();
        let items = self.0.query(&query).await?;
        items
            .into_iter()
            .map(|item| serde_json::from_value(Value::Object(item)))
            .collect::<Result<_, _>>()
            .map_err(|source| StoreError::Shape {
                table: query.table,
                source,
            })
    }

    /// Carries out all writes or none.
    pub async fn commit<const N: usize>(&self, writes: [Write; N]) -> Result<(), StoreError> {
        self.0.commit(&writes).await
    }

    /// Carries out all writes or none.
    pub async fn commit_all(&self, writes: &[Write]) -> Result<(), StoreError> {
        if writes.is_empty() {
            Ok(())
        } else {
            self.0.commit(writes).await
        }
    }

    pub(crate) async fn prime(&self) {
        let _ = self.get(&model::ConnectionId::new("prime")).await;
    }
}
