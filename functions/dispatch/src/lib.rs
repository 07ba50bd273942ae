//! SQS consumer: wakes a worker or starts an instance for queued work.

use std::collections::BTreeMap;

use cloud::{
    Cloud, chain,
    queue::{BatchItemFailure, Queued, SqsBatchResponse, SqsEvent, SqsMessage},
};
use fleet::{Fleet, scale::scale};
use model::{Millis, PoolId, Settings};
use tracing::{error, warn};

/// What the handler needs.
#[derive(Debug)]
pub struct App {
    /// AWS.
    pub cloud: Cloud,
    /// EC2.
    pub fleet: Fleet,
    /// Durations and limits.
    pub settings: Settings,
}

impl App {
    /// Looks once at each pool that a message names. A malformed message is logged and acknowledged, since it would
    /// never become a good one; a message whose pool could not be served for now is given back.
    pub async fn handle(&self, event: &SqsEvent, now: Millis) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        for (pool, messages) in by_pool(event) {
            if let Err(failure) = scale(&self.cloud, &self.fleet, &self.settings, &pool, now).await {
                error!(pool = %pool, error = chain(&failure), "scaling failed; the messages come again");
                response
                    .batch_item_failures
                    .extend(messages.into_iter().filter_map(|message| {
                        let mut item = BatchItemFailure::default();
                        item.item_identifier = message.message_id.clone()?;
                        Some(item)
                    }));
            }
        }
        response
    }
}

fn by_pool(event: &SqsEvent) -> BTreeMap<PoolId, Vec<&SqsMessage>> {
    let mut pools: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for message in &event.records {
        match serde_json::from_str::<Queued>(message.body.as_deref().unwrap_or_default()) {
            Ok(queued) => pools.entry(queued.pool).or_default().push(message),
            Err(error) => {
                warn!(
                    message.id = message.message_id,
                    error = chain(&error),
                    "a malformed message is dropped"
                );
            }
        }
    }
    pools
}
