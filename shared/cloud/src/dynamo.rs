//! The store on DynamoDB.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, Delete, KeysAndAttributes, Put, TransactWriteItem},
};
use serde_dynamo::{from_item, to_item};

use crate::{
    BoxFuture,
    aws::CallError,
    page::{Cursor, Page},
    store::{Batch, Item, StoreError, StorePort, Write, unreadable},
    tables::{First, Key, Query, Table, TableNames},
};

#[derive(Debug)]
pub(crate) struct Dynamo {
    client: Client,
    names: TableNames,
}

type Attributes = HashMap<String, AttributeValue>;

impl Dynamo {
    pub(crate) fn new(sdk: &aws_config::SdkConfig, names: TableNames) -> Self {
        Self {
            client: Client::new(sdk),
            names,
        }
    }

    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let output = self
            .client
            .get_item()
            .table_name(self.names.of(key.table))
            .set_key(Some(attributes(key)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| CallError::of("dynamodb GetItem", error))?;
        output
            .item
            .map(|item| from_item(item).map_err(|error| shape(key.table, error)))
            .transpose()
    }

    async fn get_all(&self, keys: &[Key]) -> Result<Batch, StoreError> {
        const CALL: &str = "dynamodb BatchGetItem";
        let mut wanted: HashMap<String, KeysAndAttributes> = HashMap::new();
        for table in Table::ALL {
            let of_table = keys.iter().filter(|key| key.table == table);
            let of_table: Vec<_> = of_table.map(attributes).collect();
            if !of_table.is_empty() {
                let items = KeysAndAttributes::builder()
                    .set_keys(Some(of_table))
                    .consistent_read(true)
                    .build()
                    .map_err(|error| CallError::refused(CALL, error))?;
                wanted.insert(self.names.of(table).to_owned(), items);
            }
        }
        let call = self.client.batch_get_item().set_request_items(Some(wanted));
        let output = call.send().await.map_err(|error| CallError::of(CALL, error))?;
        let table = |name: &str| Table::ALL.into_iter().find(|table| self.names.of(*table) == name);
        let mut batch = Batch::default();
        for (name, items) in output.responses.unwrap_or_default() {
            let Some(table) = table(&name) else { continue };
            for item in items {
                let key = key(table, &item);
                batch.items.insert(key, decode(table, item));
            }
        }
        for (name, left) in output.unprocessed_keys.unwrap_or_default() {
            let Some(table) = table(&name) else { continue };
            batch.left.extend(left.keys.iter().map(|item| key(table, item)));
        }
        Ok(batch)
    }

    async fn query(&self, query: &Query, after: Option<&Cursor>, limit: u32) -> Result<Page<Item>, StoreError> {
        let start = after.map(|cursor| cursor.keys(query)).transpose()?;
        let start = start.map(|keys| encode(query.table, &keys)).transpose()?;
        // What the order is held to, beside the partition.
        let bound = match query.first {
            _ if !query.prefix.is_empty() => Some(("begins_with(#s, :s)", AttributeValue::S(query.prefix.clone()))),
            First::UpTo(most) => Some(("#s <= :s", AttributeValue::N(most.to_string()))),
            First::Smallest | First::Largest => None,
        };
        let bound = query.order().zip(bound);
        let condition = match &bound {
            Some((_, (condition, _))) => format!("#p = :p AND {condition}"),
            None => "#p = :p".to_owned(),
        };
        let order = bound.as_ref().map(|(order, _)| ("#s", *order));
        let partition = AttributeValue::S(query.partition.clone());
        let output = self
            .client
            .query()
            .table_name(self.names.of(query.table))
            .set_index_name(query.index.map(|index| index.name.to_owned()))
            // A message that says where to look comes right after the write. An index cannot be read this way.
            .consistent_read(query.index.is_none())
            .key_condition_expression(condition)
            .set_expression_attribute_names(Some(
                [("#p", query.attribute())]
                    .into_iter()
                    .chain(order)
                    .map(|(name, attribute)| (name.to_owned(), attribute.to_owned()))
                    .collect(),
            ))
            .set_expression_attribute_values(Some(
                [(":p", partition)]
                    .into_iter()
                    .chain(bound.map(|(_, (_, value))| (":s", value)))
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect(),
            ))
            .scan_index_forward(query.first == First::Smallest)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|error| CallError::of("dynamodb Query", error))?;
        let last = output.last_evaluated_key.filter(|key| !key.is_empty());
        let last: Option<Item> = last
            .map(|key| from_item(key).map_err(|error| shape(query.table, error)))
            .transpose()?;
        Ok(Page {
            entries: output
                .items
                .unwrap_or_default()
                .into_iter()
                .filter_map(|item| decode(query.table, item))
                .collect(),
            next: last.map(|key| Cursor::after(query, &key)),
        })
    }

    async fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        if let [write] = writes {
            return self.write(write).await;
        }
        let items = writes
            .iter()
            .map(|write| self.transact(write))
            .collect::<Result<_, _>>()?;
        match self
            .client
            .transact_write_items()
            .set_transact_items(Some(items))
            .send()
            .await
        {
            Ok(_) => Ok(()),
            Err(error) => Err(classify_transaction(error)),
        }
    }

    async fn write(&self, write: &Write) -> Result<(), StoreError> {
        let condition = Condition::of(write);
        let table = self.names.of(write.key.table);
        if let Some(item) = &write.item {
            let put = self
                .client
                .put_item()
                .table_name(table)
                .set_item(Some(encode(write.key.table, item)?))
                .condition_expression(condition.expression)
                .set_expression_attribute_names(Some(condition.names))
                .set_expression_attribute_values(condition.values);
            put.send()
                .await
                .map(drop)
                .map_err(|error| classify_write("dynamodb PutItem", error))
        } else {
            let delete = self
                .client
                .delete_item()
                .table_name(table)
                .set_key(Some(attributes(&write.key)))
                .condition_expression(condition.expression)
                .set_expression_attribute_names(Some(condition.names))
                .set_expression_attribute_values(condition.values);
            delete
                .send()
                .await
                .map(drop)
                .map_err(|error| classify_write("dynamodb DeleteItem", error))
        }
    }

    fn transact(&self, write: &Write) -> Result<TransactWriteItem, StoreError> {
        let condition = Condition::of(write);
        let table = self.names.of(write.key.table);
        let item = TransactWriteItem::builder();
        Ok(match &write.item {
            Some(it) => item.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(encode(write.key.table, it)?))
                    .condition_expression(condition.expression)
                    .set_expression_attribute_names(Some(condition.names))
                    .set_expression_attribute_values(condition.values)
                    .build()
                    .map_err(|error| CallError::refused(TRANSACT, error))?,
            ),
            None => item.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(Some(attributes(&write.key)))
                    .condition_expression(condition.expression)
                    .set_expression_attribute_names(Some(condition.names))
                    .set_expression_attribute_values(condition.values)
                    .build()
                    .map_err(|error| CallError::refused(TRANSACT, error))?,
            ),
        }
        .build())
    }
}

impl StorePort for Dynamo {
    fn get_all<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Batch, StoreError>> {
        Box::pin(self.get_all(keys))
    }
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Item>, StoreError>> {
        Box::pin(self.get(key))
    }
    fn query<'a>(
        &'a self,
        query: &'a Query,
        after: Option<&'a Cursor>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Page<Item>, StoreError>> {
        Box::pin(self.query(query, after, limit))
    }
    fn commit<'a>(&'a self, writes: &'a [Write]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.commit(writes))
    }
    fn prime(&self) -> BoxFuture<'_, ()> {
        // Refused to most roles, which is as good: the connection is open afterwards.
        let table = self.names.of(Table::Sessions);
        let key = AttributeValue::S("prime".to_owned());
        let get = self
            .client
            .get_item()
            .table_name(table)
            .key(Table::Sessions.key().0, key);
        Box::pin(async move { drop(get.send().await) })
    }
}

struct Condition {
    expression: &'static str,
    names: std::collections::HashMap<String, String>,
    values: Option<Attributes>,
}

impl Condition {
    fn of(write: &Write) -> Self {
        if write.expect == 0 {
            let (partition, _) = write.key.table.key();
            return Self {
                expression: "attribute_not_exists(#k)",
                names: [("#k".to_owned(), partition.to_owned())].into(),
                values: None,
            };
        }
        Self {
            expression: "#v = :v",
            names: [("#v".to_owned(), "version".to_owned())].into(),
            values: Some([(":v".to_owned(), AttributeValue::N(write.expect.to_string()))].into()),
        }
    }
}

fn attributes(key: &Key) -> Attributes {
    let (partition, sort) = key.table.key();
    let mut attributes: Attributes = [(partition.to_owned(), AttributeValue::S(key.partition.clone()))].into();
    if let (Some(name), Some(value)) = (sort, &key.sort) {
        attributes.insert(name.to_owned(), AttributeValue::S(value.clone()));
    }
    attributes
}

/// The key of an item, or of one that was left out.
fn key(table: Table, item: &Attributes) -> Key {
    let of = |name: &str| item.get(name).and_then(|it| it.as_s().ok()).cloned();
    let (partition, sort) = table.key();
    Key {
        table,
        partition: of(partition).unwrap_or_default(),
        sort: sort.and_then(of),
    }
}

fn encode(table: Table, item: &Item) -> Result<Attributes, StoreError> {
    to_item(item).map_err(|error| shape(table, error))
}

/// An item of a list; none, and a line in the log, if it holds what nothing of ours writes.
fn decode(table: Table, item: Attributes) -> Option<Item> {
    let of = |name: &str| item.get(name)?.as_s().ok().cloned();
    let (partition, sort) = table.key();
    let (partition, sort) = (of(partition), sort.and_then(of));
    from_item(item)
        .inspect_err(|_| unreadable(table, partition.as_deref(), sort.as_deref(), ""))
        .ok()
}

fn shape(table: Table, error: serde_dynamo::Error) -> StoreError {
    StoreError::Shape {
        table,
        source: error.into(),
    }
}

const TRANSACT: &str = "dynamodb TransactWriteItems";

fn classify_write<E>(call: &'static str, error: SdkError<E, HttpResponse>) -> StoreError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    match error.code() {
        Some("ConditionalCheckFailedException" | "TransactionConflictException") => StoreError::Conflict,
        _ => CallError::of(call, error).into(),
    }
}

fn classify_transaction(error: SdkError<TransactWriteItemsError, HttpResponse>) -> StoreError {
    let canceled = match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => canceled,
        Some(TransactWriteItemsError::TransactionInProgressException(_)) => return StoreError::Conflict,
        _ => return CallError::of(TRANSACT, error).into(),
    };
    let reasons = canceled.cancellation_reasons();
    let reasons: Vec<_> = reasons
        .iter()
        .filter_map(|it| Some((it.code()?, it.message().unwrap_or_default())))
        .collect();
    verdict(&reasons).unwrap_or_else(|| CallError::passing(TRANSACT, error).into())
}

/// What the reasons of a canceled transaction come to; none: it may succeed later.
fn verdict(reasons: &[(&str, &str)]) -> Option<StoreError> {
    let permanent = |code: &str| matches!(code, "ValidationError" | "ItemCollectionSizeLimitExceeded");
    // Before the conflicts: no other decision would mend it.
    if let Some((code, message)) = reasons.iter().find(|(code, _)| permanent(code)) {
        return Some(CallError::of_code(TRANSACT, code, message).into());
    }
    let conflict = |code: &str| matches!(code, "ConditionalCheckFailed" | "TransactionConflict");
    reasons
        .iter()
        .any(|(code, _)| conflict(code))
        .then_some(StoreError::Conflict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_canceled_transaction_comes_to() {
        let verdict = |codes: &[&'static str]| verdict(&codes.iter().map(|code| (*code, "")).collect::<Vec<_>>());
        assert!(matches!(
            verdict(&["None", "ConditionalCheckFailed"]),
            Some(StoreError::Conflict)
        ));
        assert!(matches!(
            verdict(&["TransactionConflict", "ThrottlingError"]),
            Some(StoreError::Conflict)
        ));
        assert!(verdict(&["None", "ThrottlingError"]).is_none());
        assert!(verdict(&["ProvisionedThroughputExceeded"]).is_none());
        let refused = verdict(&["ConditionalCheckFailed", "ValidationError"]).unwrap();
        assert!(!refused.is_retryable(), "{refused:?}");
    }
}
