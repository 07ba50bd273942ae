//! The store on DynamoDB.

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, Delete, Put, TransactWriteItem},
};
use serde_dynamo::{from_item, to_item};

use crate::{
    BoxFuture,
    store::{Item, StoreError, StorePort, Write},
    tables::{Key, Query, TableNames},
};

#[derive(Debug)]
pub(crate) struct Dynamo {
    client: Client,
    names: TableNames,
}

type Attributes = std::collections::HashMap<String, AttributeValue>;

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
            .map_err(|error| aws("GetItem", error))?;
        output
            .item
            .map(|item| from_item(item).map_err(|error| shape("GetItem", error)))
            .transpose()
    }

    async fn query(&self, query: &Query) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let output = self
                .client
                .query()
                .table_name(self.names.of(query.table))
                .set_index_name(query.index.map(str::to_owned))
                // A message that says where to look comes right after the write. An index cannot be read this way.
                .consistent_read(query.index.is_none())
                .key_condition_expression("#p = :p")
                .expression_attribute_names("#p", query.attribute)
                .expression_attribute_values(":p", AttributeValue::S(query.partition.clone()))
                .limit(i32::try_from(query.limit as usize - items.len()).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| aws("Query", error))?;
            for item in output.items.unwrap_or_default() {
                items.push(from_item(item).map_err(|error| shape("Query", error))?);
            }
            start = output.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() || items.len() >= query.limit as usize {
                return Ok(items);
            }
        }
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
                .set_item(Some(encode(item)?))
                .condition_expression(condition.expression)
                .set_expression_attribute_names(Some(condition.names))
                .set_expression_attribute_values(condition.values);
            put.send()
                .await
                .map(drop)
                .map_err(|error| classify_write("PutItem", error))
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
                .map_err(|error| classify_write("DeleteItem", error))
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
                    .set_item(Some(encode(it)?))
                    .condition_expression(condition.expression)
                    .set_expression_attribute_names(Some(condition.names))
                    .set_expression_attribute_values(condition.values)
                    .build()
                    .map_err(|error| aws("TransactWriteItems", error))?,
            ),
            None => item.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(Some(attributes(&write.key)))
                    .condition_expression(condition.expression)
                    .set_expression_attribute_names(Some(condition.names))
                    .set_expression_attribute_values(condition.values)
                    .build()
                    .map_err(|error| aws("TransactWriteItems", error))?,
            ),
        }
        .build())
    }
}

impl StorePort for Dynamo {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Item>, StoreError>> {
        Box::pin(self.get(key))
    }
    fn query<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Result<Vec<Item>, StoreError>> {
        Box::pin(self.query(query))
    }
    fn commit<'a>(&'a self, writes: &'a [Write]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.commit(writes))
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

fn encode(item: &Item) -> Result<Attributes, StoreError> {
    to_item(item).map_err(|error| shape("PutItem", error))
}

fn shape(operation: &'static str, error: serde_dynamo::Error) -> StoreError {
    StoreError::Aws {
        operation,
        retryable: false,
        source: Box::new(error),
    }
}

fn aws<E: std::error::Error + Send + Sync + 'static>(operation: &'static str, error: E) -> StoreError {
    StoreError::Aws {
        operation,
        retryable: true,
        source: Box::new(error),
    }
}

fn classify_write<E, R>(operation: &'static str, error: SdkError<E, R>) -> StoreError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match error.as_service_error().and_then(ProvideErrorMetadata::code) {
        Some("ConditionalCheckFailedException" | "TransactionConflictException") => StoreError::Conflict,
        _ => aws(operation, error),
    }
}

fn classify_transaction<R>(error: SdkError<TransactWriteItemsError, R>) -> StoreError
where
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let conflict = match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => canceled
            .cancellation_reasons()
            .iter()
            .any(|reason| matches!(reason.code(), Some("ConditionalCheckFailed" | "TransactionConflict"))),
        Some(TransactWriteItemsError::TransactionInProgressException(_)) => true,
        _ => false,
    };
    if conflict {
        StoreError::Conflict
    } else {
        aws("TransactWriteItems", error)
    }
}
