//! Items as JSON that loses nothing, and what a restore makes of two of them. Pure.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use base64::{Engine, prelude::BASE64_STANDARD};
use model::Millis;
use serde_json::{Map, Value, json};

/// An item as DynamoDB has it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// Where the entities' versions are.
const VERSION: &str = "version";

/// In DynamoDB's own JSON, in which each value names its type.
pub(crate) fn to_json(item: &Item) -> Value {
    let sorted: std::collections::BTreeMap<_, _> = item.iter().collect();
    Value::Object(sorted.into_iter().map(|(name, it)| (name.clone(), value(it))).collect())
}

fn value(it: &AttributeValue) -> Value {
    let base64 = |blob: &Blob| BASE64_STANDARD.encode(blob.as_ref());
    match it {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::Bool(it) => json!({ "BOOL": it }),
        AttributeValue::Null(it) => json!({ "NULL": it }),
        AttributeValue::B(blob) => json!({ "B": base64(blob) }),
        AttributeValue::Ss(texts) => json!({ "SS": texts }),
        AttributeValue::Ns(numbers) => json!({ "NS": numbers }),
        AttributeValue::Bs(blobs) => json!({ "BS": blobs.iter().map(base64).collect::<Vec<_>>() }),
        AttributeValue::L(list) => json!({ "L": list.iter().map(value).collect::<Vec<_>>() }),
        AttributeValue::M(map) => json!({ "M": to_json(map) }),
        _ => Value::Null,
    }
}

/// In plain JSON, as the entities read it.
pub(crate) fn plain(item: &Item) -> Value {
    serde_dynamo::from_item(item.clone()).unwrap_or_default()
}

/// The item again.
pub(crate) fn from_json(json: &Value) -> Result<Item> {
    let object = json.as_object().context("an item is no JSON object")?;
    object
        .iter()
        .map(|(name, it)| Ok((name.clone(), attribute(it)?)))
        .collect()
}

fn attribute(json: &Value) -> Result<AttributeValue> {
    let (kind, it) = match json
        .as_object()
        .map(Map::iter)
        .map(Iterator::collect::<Vec<_>>)
        .as_deref()
    {
        Some([(kind, it)]) => (kind.as_str(), *it),
        _ => bail!("a value does not name its type"),
    };
    let text = |it: &Value| {
        it.as_str()
            .map(str::to_owned)
            .with_context(|| format!("a value of type {kind} is no text"))
    };
    let blob = |it: &Value| Ok::<_, anyhow::Error>(Blob::new(BASE64_STANDARD.decode(text(it)?)?));
    let list = || {
        it.as_array()
            .with_context(|| format!("a value of type {kind} is no list"))
    };
    Ok(match kind {
        "S" => AttributeValue::S(text(it)?),
        "N" => AttributeValue::N(text(it)?),
        "BOOL" => AttributeValue::Bool(it.as_bool().context("a truth is none")?),
        "NULL" => AttributeValue::Null(true),
        "B" => AttributeValue::B(blob(it)?),
        "SS" => AttributeValue::Ss(list()?.iter().map(text).collect::<Result<_>>()?),
        "NS" => AttributeValue::Ns(list()?.iter().map(text).collect::<Result<_>>()?),
        "BS" => AttributeValue::Bs(list()?.iter().map(blob).collect::<Result<_>>()?),
        "L" => AttributeValue::L(list()?.iter().map(attribute).collect::<Result<_>>()?),
        "M" => AttributeValue::M(from_json(it)?),
        _ => bail!("there is no type {kind} of values"),
    })
}

/// Whether DynamoDB may delete the item at any time.
pub(crate) fn is_expired(item: &Item, now: Millis) -> bool {
    number(item, "ttl").is_some_and(|ttl| ttl <= now.seconds())
}

fn number(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// What to do with an item of a backup.
#[derive(Debug, PartialEq)]
pub(crate) enum Act {
    /// Put it, if the item that is there still has this version; none: if none is there.
    Put {
        /// The item.
        item: Item,
        /// The version that was read.
        expect: Option<u64>,
    },
    /// It is there already.
    Same,
    /// What is there is another, and stays: versions say nothing of which is newer, since they begin anew in each
    /// installation.
    Kept,
}

/// What to do with the item of a backup where this one is in the table.
pub(crate) fn act(there: Option<&Item>, backed_up: &Item, overwrite: bool) -> Act {
    let Some(there) = there else {
        return Act::Put {
            item: backed_up.clone(),
            expect: None,
        };
    };
    let unversioned = |item: &Item| {
        let mut item = item.clone();
        item.remove(VERSION);
        item
    };
    if unversioned(there) == unversioned(backed_up) {
        return Act::Same;
    }
    if !overwrite {
        return Act::Kept;
    }
    let (old, new) = (
        number(there, VERSION).unwrap_or(0),
        number(backed_up, VERSION).unwrap_or(0),
    );
    // Higher than both, so that whoever has read either of them decides again.
    let mut item = backed_up.clone();
    item.insert(VERSION.to_owned(), AttributeValue::N((old.max(new) + 1).to_string()));
    Act::Put {
        item,
        expect: Some(old),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = AttributeValue> {
        let leaf = prop_oneof![
            ".*".prop_map(AttributeValue::S),
            any::<i64>().prop_map(|it| AttributeValue::N(it.to_string())),
            any::<bool>().prop_map(AttributeValue::Bool),
            Just(AttributeValue::Null(true)),
            prop::collection::vec(any::<u8>(), 0..9).prop_map(|it| AttributeValue::B(Blob::new(it))),
            prop::collection::vec(".+", 1..3).prop_map(AttributeValue::Ss),
            Just(AttributeValue::Ns(vec!["1.50".to_owned(), "-2E+7".to_owned()])),
            prop::collection::vec(any::<u8>(), 0..9).prop_map(|it| AttributeValue::Bs(vec![Blob::new(it)])),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(AttributeValue::L),
                prop::collection::hash_map(".*", inner, 0..4).prop_map(AttributeValue::M),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_loses_nothing(item in prop::collection::hash_map(".*", values(), 0..5)) {
            let text = to_json(&item).to_string();
            prop_assert!(!text.contains('\n'));
            let read = from_json(&serde_json::from_str(&text).unwrap()).unwrap();
            prop_assert_eq!(read, item);
        }
    }

    fn item(version: u64, name: &str) -> Item {
        Item::from([
            ("account".to_owned(), AttributeValue::S("user#mara".to_owned())),
            (VERSION.to_owned(), AttributeValue::N(version.to_string())),
            ("name".to_owned(), AttributeValue::S(name.to_owned())),
        ])
    }

    #[test]
    fn what_is_there_stays() {
        let backed_up = item(3, "Mara");
        let put = |version, expect| Act::Put {
            item: item(version, "Mara"),
            expect,
        };
        assert_eq!(act(None, &backed_up, false), put(3, None));
        for (there, overwrite, wanted) in [
            (item(3, "Mara"), false, Act::Same),
            (item(9, "Mara"), true, Act::Same),
            (item(9, "Mara Lind"), false, Act::Kept),
            (item(3, "Mara Lind"), false, Act::Kept),
            (item(9, "Mara Lind"), true, put(10, Some(9))),
            (item(1, "M."), false, Act::Kept),
            (item(2, "M."), true, put(4, Some(2))),
        ] {
            assert_eq!(act(Some(&there), &backed_up, overwrite), wanted, "{there:?}");
        }
        // Done twice it changes nothing.
        let Act::Put { item: restored, .. } = act(Some(&item(9, "Mara Lind")), &backed_up, true) else {
            panic!()
        };
        assert_eq!(act(Some(&restored), &backed_up, true), Act::Same);
    }

    #[test]
    fn what_is_no_item_is_refused_in_words() {
        for text in [
            "[]",
            r#"{"a": 1}"#,
            r#"{"a": {"S": 1}}"#,
            r#"{"a": {"X": "1"}}"#,
            r#"{"a": {"S": "1", "N": "1"}}"#,
        ] {
            assert!(from_json(&serde_json::from_str(text).unwrap()).is_err(), "{text}");
        }
    }
}
