//! Whole tables of DynamoDB, which a [`cloud::Store`] does not read.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    config::{Builder, retry::RetryConfig},
    types::AttributeValue,
};

use super::items::Item;

/// Patient: a throttled call is tried again, with growing pauses.
pub(crate) fn client(sdk: &SdkConfig) -> Client {
    let patience = cloud::aws::time_outs(Duration::from_secs(10), Duration::from_mins(3));
    let config = Builder::from(sdk)
        .retry_config(
            sdk.retry_config()
                .cloned()
                .unwrap_or_else(RetryConfig::standard)
                .with_max_attempts(12),
        )
        .timeout_config(patience);
    Client::from_conf(config.build())
}

/// Hands over a table page by page.
pub(crate) async fn each_page(
    client: &Client,
    table: &str,
    mut take: impl AsyncFnMut(Vec<Item>) -> Result<()>,
) -> Result<()> {
    let mut from: Option<HashMap<String, AttributeValue>> = None;
    loop {
        let page = client
            .scan()
            .table_name(table)
            .consistent_read(true)
            .set_exclusive_start_key(from)
            .send()
            .await;
        let page = page.with_context(|| format!("the table {table} cannot be read"))?;
        take(page.items.unwrap_or_default()).await?;
        from = page.last_evaluated_key.filter(|key| !key.is_empty());
        if from.is_none() {
            return Ok(());
        }
    }
}
