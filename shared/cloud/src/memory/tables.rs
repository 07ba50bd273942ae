//! DynamoDB in memory.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::{Memory, State, rules};
use crate::{
    BoxFuture,
    page::{Cursor, Page},
    store::{Batch, Item, StoreError, StorePort, Write},
    tables::{First, Key, Query, Shows},
};

/// Most of what one page reads, bytes.
const PAGE: usize = 1 << 20;

impl State {
    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        rules::check_commit(writes)?;
        let unlucky = self.unkind.conflict_percent > 0 && self.chance.u8(0..100) < self.unkind.conflict_percent;
        if unlucky
            || !writes
                .iter()
                .all(|write| holds(self.items.get(&write.key), write.expect))
        {
            return Err(StoreError::Conflict);
        }
        self.commits += 1;
        for write in writes {
            let item = write.item.clone().map(stored);
            match &item {
                Some(item) => drop(self.items.insert(write.key.clone(), item.clone())),
                None => drop(self.items.remove(&write.key)),
            }
            self.not_indexed.push_back((write.key.clone(), item));
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

    fn get_all(&mut self, keys: &[Key]) -> Batch {
        let unlucky = self.unkind.left_percent > 0 && self.luck.u8(0..100) < self.unkind.left_percent;
        // One is looked at: without any the call fails.
        let looked_at = if unlucky {
            self.luck.usize(1..=keys.len())
        } else {
            keys.len()
        };
        let (now, left) = keys.split_at(looked_at);
        let items = now
            .iter()
            .filter_map(|key| Some((key.clone(), Some(self.items.get(key)?.clone()))));
        Batch {
            items: items.collect(),
            left: left.to_vec(),
        }
    }

    fn query(&mut self, query: &Query, after: Option<&Cursor>, limit: u32) -> Result<Page<Item>, StoreError> {
        rules::check_query(query, limit)?;
        let after = after.map(|cursor| cursor.keys(query)).transpose()?;
        if query.index.is_some() && after.is_none() {
            // Some of what is behind catches up before each list is read, as time would have it.
            let behind = self.not_indexed.len();
            let lag = if behind == 0 { 0 } else { self.chance.usize(0..=behind) };
            self.index(lag);
        }
        let items = if query.index.is_some() {
            &self.indexed
        } else {
            &self.items
        };
        let first = Key {
            table: query.table,
            partition: String::new(),
            sort: None,
        };
        let mut found: Vec<&Item> = items
            .range(first..)
            .take_while(|(key, _)| key.table == query.table)
            .map(|(_, item)| item)
            .filter(|item| is_in(query, item))
            .filter(|item| {
                after
                    .as_ref()
                    .is_none_or(|after| places(query, item, after) == Ordering::Greater)
            })
            .collect();
        found.sort_by(|one, other| places(query, one, other));
        let most = self.unkind.page.min(limit as usize);
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for item in &found {
            let shown = shown(query, item);
            bytes += rules::size_of(&shown);
            if entries.len() == most || (bytes > PAGE && !entries.is_empty()) {
                break;
            }
            entries.push(shown);
        }
        // Whether there is more is not looked at: a page that is full is followed by another, which may be empty.
        let full = entries.len() == most || entries.len() < found.len();
        let last = found.get(entries.len().wrapping_sub(1));
        Ok(Page {
            next: last.filter(|_| full).map(|item| Cursor::after(query, item)),
            entries,
        })
    }
}

/// Whether the item has the version that is expected; 0: there is none.
fn holds(item: Option<&Item>, expect: u64) -> bool {
    let version = item.and_then(|item| item.get("version")).and_then(Value::as_u64);
    if expect == 0 {
        item.is_none()
    } else {
        version == Some(expect)
    }
}

/// Whether the list shows the item.
fn is_in(query: &Query, item: &Item) -> bool {
    let partition = item.get(query.attribute()).and_then(Value::as_str);
    let begins =
        |name: &str| query.prefix.is_empty() || item[name].as_str().is_some_and(|it| it.starts_with(&query.prefix));
    let is_in = |name| item.contains_key(name) && begins(name);
    let up_to = |name: &str| match query.first {
        First::UpTo(most) => order(item.get(name), Some(&most.into())) != Ordering::Greater,
        First::Smallest | First::Largest => true,
    };
    partition == Some(&query.partition) && query.order().is_none_or(|name| is_in(name) && up_to(name))
}

/// Which of two items the list has first: numbers by their value, strings by their bytes, then the items' keys.
fn places(query: &Query, one: &Item, other: &Item) -> Ordering {
    let (partition, sort) = query.table.key();
    let by = |name: &str| order(one.get(name), other.get(name));
    let by_order = query.order().map_or(Ordering::Equal, by);
    let by_key = || by(partition).then_with(|| sort.map_or(Ordering::Equal, by));
    let places = by_order.then_with(by_key);
    match query.first {
        First::Smallest => places,
        First::Largest | First::UpTo(_) => places.reverse(),
    }
}

fn order(one: Option<&Value>, other: Option<&Value>) -> Ordering {
    match (one, other) {
        (Some(Value::Number(one)), Some(Value::Number(other))) => by_value(one, other),
        (Some(Value::String(one)), Some(Value::String(other))) => one.as_bytes().cmp(other.as_bytes()),
        _ => Ordering::Equal,
    }
}

fn by_value(one: &Number, other: &Number) -> Ordering {
    let whole = |number: &Number| {
        number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from))
    };
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => one.as_f64().partial_cmp(&other.as_f64()).unwrap_or(Ordering::Equal),
    }
}

/// The item as the list shows it.
fn shown(query: &Query, item: &Item) -> Item {
    let also = match query.index.map(|index| index.shows) {
        None | Some(Shows::All) => return item.clone(),
        Some(Shows::Keys) => &[],
        Some(Shows::Also(also)) => also,
    };
    let keys = query.keys();
    let is_shown = |name: &str| keys.contains(&name) || also.contains(&name);
    let shown = item.iter().filter(|(name, _)| is_shown(name));
    shown.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The item as it is read back: DynamoDB keeps a number's value, not whether it was written as a fraction.
fn stored(mut item: Item) -> Item {
    item.values_mut().for_each(store);
    item
}

fn store(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().unwrap_or_default();
            // Beyond that not every whole number is a float.
            if float.fract() == 0.0 && float.abs() < 9e15 {
                *value = Value::from(float as i64);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(store),
        Value::Object(map) => map.values_mut().for_each(store),
        _ => {}
    }
}

impl StorePort for Memory {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Item>, StoreError>> {
        Box::pin(async move {
            rules::check_get(key)?;
            Ok(self.state().items.get(key).cloned())
        })
    }
    fn get_all<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Batch, StoreError>> {
        Box::pin(async move {
            rules::check_get_all(keys)?;
            Ok(self.state().get_all(keys))
        })
    }
    fn query<'a>(
        &'a self,
        query: &'a Query,
        after: Option<&'a Cursor>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Page<Item>, StoreError>> {
        Box::pin(async move { self.state().query(query, after, limit) })
    }
    fn commit<'a>(&'a self, writes: &'a [Write]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.state().commit(writes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        memory::Unkind,
        tables::{PresenceIn, WorkersOf},
    };
    use model::{Millis, PoolId, Presence, UserId, Worker, WorkerId};

    #[tokio::test]
    async fn a_table_is_up_to_date_and_an_index_lags() {
        let (mut lagged, pool) = (false, PoolId::new("p"));
        for seed in 0..30 {
            let unkind = Unkind {
                conflict_percent: 0,
                ..Unkind::seeded(seed)
            };
            let store = Memory::new(unkind).cloud().store;
            let mut worker = Worker::launching(WorkerId::new("w"), pool.clone(), Millis(0));
            store.commit([Write::put(&mut worker).unwrap()]).await.unwrap();
            lagged |= store.list(WorkersOf(&pool)).await.unwrap().is_empty();
            let mut presence = Presence {
                pool: pool.clone(),
                user: UserId::new("mara"),
                version: 0,
                since: Millis(0),
                at: Millis(0),
                asked_at: None,
                watched: false,
                ttl: 0,
            };
            store.commit([Write::put(&mut presence).unwrap()]).await.unwrap();
            assert_eq!(store.list(PresenceIn(&pool)).await.unwrap(), [presence]);
        }
        assert!(lagged, "no index was ever behind");
    }

    #[test]
    fn numbers_come_by_value_and_strings_by_their_bytes() {
        let sorted = |mut values: Vec<Value>| {
            values.sort_by(|one, other| order(Some(one), Some(other)));
            Value::Array(values)
        };
        let numbers = vec![
            10.into(),
            9.into(),
            u64::MAX.into(),
            (-1).into(),
            9.5.into(),
            (u64::MAX - 1).into(),
        ];
        assert_eq!(
            sorted(numbers),
            serde_json::json!([-1, 9, 9.5, 10, u64::MAX - 1, u64::MAX])
        );
        let strings = vec!["b".into(), "ä".into(), "a10".into(), "a9".into(), "B".into()];
        assert_eq!(sorted(strings), serde_json::json!(["B", "a10", "a9", "b", "ä"]));
    }
}
