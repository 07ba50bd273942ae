//! What DynamoDB refuses about a request, whatever is in the tables. From its developer guide: "Service, account, and
//! table quotas" and "Item sizes and formats".

use std::collections::BTreeSet;

use serde_json::{Number, Value};

use crate::{
    Store,
    aws::CallError,
    store::{Item, Write},
    tables::{Key, Query, Table},
};

/// Most writes in a transaction.
const WRITES: usize = 100;
/// Largest item, bytes.
const ITEM: usize = 400 << 10;
/// All items of a transaction together, bytes.
const TRANSACTION: usize = 4 << 20;
/// Deepest value in a value; a plain one has depth 1.
const DEPTH: usize = 32;

type Refusal = Result<(), String>;

pub(super) fn check_get(key: &Key) -> Result<(), CallError> {
    check_key(key).map_err(|why| CallError::refused("dynamodb GetItem", why))
}

pub(super) fn check_get_all(keys: &[Key]) -> Result<(), CallError> {
    let distinct: BTreeSet<_> = keys.iter().collect();
    let checked = if keys.is_empty() || keys.len() > Store::AT_ONCE {
        Err(format!("{} keys", keys.len()))
    } else if distinct.len() < keys.len() {
        Err("a key twice".to_owned())
    } else {
        keys.iter().try_for_each(check_key)
    };
    checked.map_err(|why| CallError::refused("dynamodb BatchGetItem", why))
}

pub(super) fn check_query(query: &Query, limit: u32) -> Result<(), CallError> {
    let checked = if limit == 0 {
        Err("a limit of 0".to_owned())
    } else {
        check_text(query.attribute(), &query.partition, Key::PARTITION)
    };
    checked.map_err(|why| CallError::refused("dynamodb Query", why))
}

pub(super) fn check_commit(writes: &[Write]) -> Result<(), CallError> {
    let (call, checked) = match writes {
        [write] if write.item.is_some() => ("dynamodb PutItem", check_write(write)),
        [write] => ("dynamodb DeleteItem", check_write(write)),
        _ => ("dynamodb TransactWriteItems", check_transaction(writes)),
    };
    checked.map_err(|why| CallError::refused(call, why))
}

fn check_transaction(writes: &[Write]) -> Refusal {
    if !(1..=WRITES).contains(&writes.len()) {
        return Err(format!("{} writes", writes.len()));
    }
    writes.iter().try_for_each(check_write)?;
    let items: BTreeSet<_> = writes.iter().map(|write| &write.key).collect();
    if items.len() < writes.len() {
        return Err("several writes of one item".to_owned());
    }
    let size: usize = writes.iter().filter_map(|write| write.item.as_ref()).map(size_of).sum();
    if size > TRANSACTION {
        return Err(format!("items of {size} bytes together"));
    }
    Ok(())
}

fn check_write(write: &Write) -> Refusal {
    check_key(&write.key)?;
    let Some(item) = &write.item else { return Ok(()) };
    check_item(write.key.table, item)?;
    // DynamoDB knows no other key of an item than the one that is in it.
    let (partition, sort) = write.key.table.key();
    let same = |name: &str, value: Option<&String>| item.get(name).and_then(Value::as_str) == value.map(String::as_str);
    if same(partition, Some(&write.key.partition)) && sort.is_none_or(|sort| same(sort, write.key.sort.as_ref())) {
        Ok(())
    } else {
        Err("the item has not the key that it is put at".to_owned())
    }
}

fn check_key(key: &Key) -> Refusal {
    let (partition, sort) = key.table.key();
    check_text(partition, &key.partition, Key::PARTITION)?;
    match (sort, &key.sort) {
        (Some(name), Some(value)) => check_text(name, value, Key::SORT),
        (None, None) => Ok(()),
        _ => Err(format!("a key of {:?} with or without a sort key", key.table)),
    }
}

fn check_text(name: &str, value: &str, longest: usize) -> Refusal {
    if (1..=longest).contains(&value.len()) {
        Ok(())
    } else {
        Err(format!("the key attribute {name} of {} bytes", value.len()))
    }
}

fn check_item(table: Table, item: &Item) -> Refusal {
    if item.contains_key("") {
        return Err("an attribute without a name".to_owned());
    }
    item.values().try_for_each(|value| check_value(value, 1))?;
    for index in table.indexes() {
        match item.get(index.partition) {
            None => {}
            Some(Value::String(text)) => check_text(index.partition, text, Key::PARTITION)?,
            Some(_) => return Err(format!("{} is a key of {} and no string", index.partition, index.name)),
        }
        if let Some((sort, value)) = index.sort.and_then(|sort| Some((sort, item.get(sort)?)))
            && !value.is_number()
        {
            return Err(format!("{sort} is a key of {} and no number", index.name));
        }
    }
    let size = size_of(item);
    if size > ITEM {
        return Err(format!("an item of {size} bytes"));
    }
    Ok(())
}

fn check_value(value: &Value, depth: usize) -> Refusal {
    if depth > DEPTH {
        return Err(format!("values more than {DEPTH} deep in each other"));
    }
    match value {
        Value::Number(number) if !is_in_range(number) => Err(format!("the number {number}")),
        Value::Array(list) => list.iter().try_for_each(|it| check_value(it, depth + 1)),
        Value::Object(map) => map.values().try_for_each(|it| check_value(it, depth + 1)),
        _ => Ok(()),
    }
}

/// Nothing that a JSON number holds here has more than the 38 digits that DynamoDB keeps.
fn is_in_range(number: &Number) -> bool {
    let magnitude = number.as_f64().unwrap_or(f64::INFINITY).abs();
    magnitude == 0.0 || (1e-130..1e126).contains(&magnitude)
}

/// Size of an item, bytes: never less than DynamoDB counts.
pub(super) fn size_of(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + size(value)).sum()
}

fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        // A byte for two digits and one more; "approximately", so one for the sign and one for an odd digit.
        Value::Number(number) => {
            let text = number.to_string();
            let digits = text.split(['e', 'E']).next().unwrap_or_default();
            digits.bytes().filter(u8::is_ascii_digit).count().div_ceil(2) + 3
        }
        Value::String(text) => text.len(),
        Value::Array(list) => 3 + list.iter().map(|it| 1 + size(it)).sum::<usize>(),
        Value::Object(map) => 3 + map.iter().map(|(name, it)| 1 + name.len() + size(it)).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sizes_are_as_the_guide_counts_them() {
        let size = |value: Value| size_of(&serde_json::from_value(value).unwrap());
        assert_eq!(size(json!({ "name": "Größe" })), 4 + 7);
        assert_eq!(size(json!({ "yes": true, "no": null })), 3 + 1 + 2 + 1);
        assert_eq!(size(json!({ "list": [], "map": {} })), 4 + 3 + 3 + 3);
        assert_eq!(
            size(json!({ "list": ["ab"], "map": { "k": "v" } })),
            4 + 3 + 1 + 2 + 3 + 3 + 1 + 1 + 1
        );
        // The guide: 1 byte for two digits and 1 byte.
        for (number, guide) in [
            (json!(7), 2),
            (json!(-123_456), 4),
            (json!(u64::MAX), 11),
            (json!(0.1), 2),
        ] {
            let counted = size(json!({ "n": number })) - 1;
            assert!((guide..=guide + 4).contains(&counted), "{number}: {counted}");
        }
    }
}
