//! What this release does not know of an item that another one has written.
//!
//! Items are written whole, so whoever reads one with a field that it has no place for would delete that field with its next
//! write. After a roll-back, or while functions of two releases run side by side, that is what the newer one has learned.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::de::DeserializeOwned;
use serde_ignored::Path;
use serde_json::Value;

use crate::{store::Write, tables::Key};

/// Most items remembered; only those with something unknown are.
const MOST: usize = 1000;

/// The names on the way to a field.
type Way = Vec<String>;

#[derive(Debug)]
struct Kept {
    version: u64,
    fields: Vec<(Way, Value)>,
}

/// The unknown parts of the items that were read, until they are written.
#[derive(Debug, Default)]
pub(crate) struct Unknown(Mutex<BTreeMap<Key, Kept>>);

impl Unknown {
    fn kept(&self) -> MutexGuard<'_, BTreeMap<Key, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The item as its type; what has no place there is kept.
    pub(crate) fn read<T: DeserializeOwned>(&self, key: Key, item: &Value) -> Result<T, serde_json::Error> {
        let (partition, sort) = key.table.key();
        let mut ways = Vec::new();
        let entity = serde_ignored::deserialize(item, |path| {
            // A table's key is of no entity's own. What is in a list may be at another place by the time of the write.
            let is_key = |way: &[String]| matches!(way, [name] if *name == partition || sort == Some(name));
            ways.extend(way(&path).filter(|way| !is_key(way)));
        })?;
        let mut kept = self.kept();
        if ways.is_empty() {
            kept.remove(&key);
            return Ok(entity);
        }
        if kept.len() >= MOST {
            kept.clear();
        }
        let fields = ways.into_iter().filter_map(|way| {
            let value = way.iter().try_fold(item, |value, name| value.get(name))?.clone();
            Some((way, value))
        });
        let version = item["version"].as_u64().unwrap_or(0);
        let fields = fields.collect();
        kept.insert(key, Kept { version, fields });
        Ok(entity)
    }

    /// The writes with what is kept of their items; none if there is nothing to put back.
    pub(crate) fn put_back(&self, writes: &[Write]) -> Option<Vec<Write>> {
        let kept = self.kept();
        let of = |write: &Write| kept.get(&write.key).filter(|it| it.version == write.expect);
        if !writes.iter().any(|write| of(write).is_some()) {
            return None;
        }
        let mut writes = writes.to_vec();
        for write in &mut writes {
            if let Some(kept) = of(write)
                && let Some(item) = write.item.take()
            {
                let mut item = Value::Object(item);
                for (way, value) in &kept.fields {
                    put(&mut item, way, value);
                }
                write.item = match item {
                    Value::Object(item) => Some(item),
                    _ => None,
                };
            }
        }
        Some(writes)
    }
}

fn way(path: &Path<'_>) -> Option<Way> {
    match path {
        Path::Root => Some(Way::new()),
        Path::Seq { .. } => None,
        Path::Map { parent, key } => {
            let mut names = way(parent)?;
            names.push(key.clone());
            Some(names)
        }
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => way(parent),
    }
}

/// Puts the value there, unless something is there already or what it was in is gone.
fn put(item: &mut Value, way: &[String], value: &Value) {
    let Some((last, parents)) = way.split_last() else {
        return;
    };
    let parent = parents.iter().try_fold(item, |value, name| value.get_mut(name));
    if let Some(Value::Object(parent)) = parent {
        parent.entry(last.clone()).or_insert_with(|| value.clone());
    }
}
