//! Lists, a page at a time.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    store::{Item, StoreError},
    tables::Query,
};

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries. There may be none although the list goes on.
    pub entries: Vec<T>,
    /// Where the list goes on; none at its end.
    pub next: Option<Cursor>,
}

/// Where a page ended. It says nothing to whoever holds it, and stays good when entries come and go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

/// Longest text and largest number in a cursor: less than DynamoDB takes in a key, more than anything that lies in one.
const LONGEST: usize = 1024;
const LARGEST: f64 = 1e30;

impl Cursor {
    /// Right after this item.
    pub(crate) fn after(query: &Query, item: &Item) -> Self {
        let names = query.keys();
        let keys: Item = item
            .iter()
            .filter(|(name, _)| names.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Self(BASE64_URL_SAFE_NO_PAD.encode(Value::Object(keys).to_string()))
    }

    /// The keys of the item that it is after: exactly those of this list.
    pub(crate) fn keys(&self, query: &Query) -> Result<Item, StoreError> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&self.0).ok();
        let item: Option<Item> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        item.filter(|item| {
            let names = query.keys();
            let fits = |name: &str, value: &Value| match query.index.and_then(|index| index.sort) {
                Some(sort) if sort == name => value.as_f64().is_some_and(|it| it.abs() < LARGEST),
                _ => value.as_str().is_some_and(|it| (1..=LONGEST).contains(&it.len())),
            };
            item.len() == names.len()
                && names
                    .iter()
                    .all(|name| item.get(*name).is_some_and(|it| fits(name, it)))
                && item.get(query.attribute()).and_then(Value::as_str) == Some(&query.partition)
                && (query.prefix.is_empty()
                    || query.order().is_none_or(|order| {
                        item.get(order)
                            .and_then(Value::as_str)
                            .is_some_and(|it| it.starts_with(&query.prefix))
                    }))
        })
        .ok_or(StoreError::Cursor { table: query.table })
    }
}

impl From<String> for Cursor {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl AsRef<str> for Cursor {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{Backlog, List, WorkersOf};
    use model::PoolId;
    use serde_json::json;

    fn item(value: Value) -> Item {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_cursor_fits_its_own_list_only() {
        let (pool, other) = (PoolId::new("a"), PoolId::new("b"));
        let backlog = Backlog(&pool, 1).query();
        let waiting = item(json!({ "task_id": "t", "backlog": "a", "start_tag": u64::MAX, "owner": "mara" }));
        let cursor = Cursor::after(&backlog, &waiting);
        let text = serde_json::to_value(&cursor).unwrap();
        let cursor: Cursor = serde_json::from_value(text).unwrap();
        let keys = item(json!({ "task_id": "t", "backlog": "a", "start_tag": u64::MAX }));
        assert_eq!(cursor.keys(&backlog).unwrap(), keys);
        assert!(cursor.keys(&Backlog(&other, 1).query()).is_err());
        assert!(cursor.keys(&WorkersOf(&pool).query()).is_err());

        let text = |value: Value| Cursor::from(BASE64_URL_SAFE_NO_PAD.encode(value.to_string()));
        let wrong = [
            String::new().into(),
            "?".to_owned().into(),
            text(json!([])),
            text(json!({ "task_id": "t", "backlog": "a" })),
            text(json!({ "task_id": "t", "backlog": "a", "start_tag": "1" })),
            text(json!({ "task_id": 1, "backlog": "a", "start_tag": 1 })),
            text(json!({ "task_id": "", "backlog": "a", "start_tag": 1 })),
            text(json!({ "task_id": "t".repeat(1025), "backlog": "a", "start_tag": 1 })),
            text(json!({ "task_id": "t", "backlog": "a", "start_tag": 1e126 })),
            text(json!({ "task_id": "t", "backlog": "a", "start_tag": 1, "more": 1 })),
        ];
        for cursor in wrong {
            assert!(
                matches!(cursor.keys(&backlog), Err(StoreError::Cursor { .. })),
                "{cursor:?}"
            );
        }
    }
}
