//! The queue of new tasks and of painters who came: the guarantee behind the wake, never the truth.

use std::sync::Arc;

pub use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use model::{PoolId, TaskId};
use serde::{Deserialize, Serialize};

use crate::{BoxFuture, aws::CallError};

/// "There is a task waiting", or "somebody has come": says where to look, nothing more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// The task, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// The pool.
    pub pool: PoolId,
}

/// A message could not be sent.
#[derive(Debug, thiserror::Error)]
#[error("a message was not queued")]
pub struct QueueError(#[from] CallError);

impl QueueError {
    /// Whether the same message may be sent later.
    pub const fn is_retryable(&self) -> bool {
        self.0.retryable
    }
}

/// What a queue must be able to do.
pub trait QueuePort: std::fmt::Debug + Send + Sync {
    /// Sends the message, at least once.
    fn send<'a>(&'a self, message: &'a Queued) -> BoxFuture<'a, Result<(), QueueError>>;
    /// Makes the client ready.
    fn prime(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// The queue of new tasks.
#[derive(Debug, Clone)]
pub struct Queue(Arc<dyn QueuePort>);

impl Queue {
    /// A queue over this port.
    pub fn new(port: impl QueuePort + 'static) -> Self {
        Self(Arc::new(port))
    }

    /// The queue at this address on SQS.
    pub fn sqs(sdk: &aws_config::SdkConfig, url: String) -> Self {
        Self::new(Sqs {
            client: aws_sdk_sqs::Client::new(sdk),
            url,
        })
    }

    /// What is below, for whoever wraps or tests it.
    pub fn port(&self) -> &Arc<dyn QueuePort> {
        &self.0
    }

    /// Says that a pool is to be looked at.
    pub async fn send(&self, message: &Queued) -> Result<(), QueueError> {
        self.0.send(message).await
    }
}

#[derive(Debug)]
struct Sqs {
    client: aws_sdk_sqs::Client,
    url: String,
}

pub(crate) const SEND: &str = "sqs SendMessage";

/// The message as it is sent.
pub(crate) fn body(message: &Queued) -> Result<String, QueueError> {
    serde_json::to_string(message).map_err(|error| CallError::refused(SEND, error).into())
}

impl QueuePort for Sqs {
    fn send<'a>(&'a self, message: &'a Queued) -> BoxFuture<'a, Result<(), QueueError>> {
        Box::pin(async move {
            let send = self
                .client
                .send_message()
                .queue_url(&self.url)
                .message_body(body(message)?)
                .send()
                .await;
            send.map(drop).map_err(|error| CallError::of(SEND, error).into())
        })
    }

    fn prime(&self) -> BoxFuture<'_, ()> {
        // Refused to most roles, which is as good: the connection is open afterwards.
        Box::pin(async move { drop(self.client.get_queue_attributes().queue_url(&self.url).send().await) })
    }
}
