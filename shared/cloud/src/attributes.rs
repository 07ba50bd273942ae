//! Items as DynamoDB writes them, as `serde_dynamo` would: each call to a table goes through here.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Number, Value};

use crate::store::Item;

/// An item's attributes.
pub(crate) type Attributes = HashMap<String, AttributeValue>;

/// The item as attributes.
pub(crate) fn encode(item: &Item) -> Attributes {
    item.iter()
        .map(|(name, value)| (name.clone(), written(value)))
        .collect()
}

fn written(value: &Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(it) => AttributeValue::Bool(*it),
        // As a fraction is written in Rust: DynamoDB takes no exponent as large as JSON's.
        Value::Number(it) => AttributeValue::N(match it.as_f64().filter(|_| it.is_f64()) {
            Some(fraction) => fraction.to_string(),
            None => it.to_string(),
        }),
        Value::String(it) => AttributeValue::S(it.clone()),
        Value::Array(it) => AttributeValue::L(it.iter().map(written).collect()),
        Value::Object(it) => AttributeValue::M(encode(it)),
    }
}

/// The attributes as an item.
pub(crate) fn decode(attributes: Attributes) -> Result<Item, serde_dynamo::Error> {
    let values = attributes.into_iter();
    values.map(|(name, value)| Ok((name, read(value)?))).collect()
}

fn read(value: AttributeValue) -> Result<Value, serde_dynamo::Error> {
    Ok(match value {
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::Bool(it) => Value::Bool(it),
        AttributeValue::S(it) => Value::String(it),
        AttributeValue::N(it) => match number(&it) {
            Some(number) => Value::Number(number),
            None => serde_dynamo::from_attribute_value(AttributeValue::N(it))?,
        },
        AttributeValue::L(it) => Value::Array(it.into_iter().map(read).collect::<Result<_, _>>()?),
        AttributeValue::M(it) => Value::Object(decode(it)?),
        // Nothing of ours writes such a one.
        other => serde_dynamo::from_attribute_value(other)?,
    })
}

fn number(text: &str) -> Option<Number> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    text.parse().ok().and_then(Number::from_f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<f32>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..5).prop_map(|it| it.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn items_are_written_and_read_as_serde_does(item in prop::collection::btree_map(".{1,4}", values(), 0..6)) {
            let item: Item = item.into_iter().collect();
            let attributes = encode(&item);
            prop_assert_eq!(&attributes, &serde_dynamo::to_item::<_, Attributes>(&item).unwrap());
            let read: Item = serde_dynamo::from_item(attributes.clone()).unwrap();
            prop_assert_eq!(decode(attributes).unwrap(), read);
        }
    }

    #[test]
    fn what_nothing_of_ours_writes_is_read_as_serde_does() {
        for (value, wanted) in [
            (AttributeValue::Ss(vec!["a".to_owned()]), Some(Value::from(vec!["a"]))),
            (AttributeValue::Ns(vec!["1".to_owned()]), Some(Value::from(vec![1]))),
            (AttributeValue::N("no number".to_owned()), None),
            (AttributeValue::N("NaN".to_owned()), Some(Value::Null)),
        ] {
            let item = Attributes::from([("a".to_owned(), value)]);
            let read = decode(item).ok().map(|mut it| it.remove("a").unwrap());
            assert_eq!(read, wanted);
        }
    }
}
