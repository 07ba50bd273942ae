//! SQS and the WebSockets of API Gateway in memory.

use model::ConnectionId;

use super::Memory;
use crate::{
    BoxFuture,
    aws::CallError,
    queue::{self, QueueError, QueuePort, Queued},
    sockets::{self, SocketError, SocketPort},
};

/// Longest message of SQS, bytes: 1 MiB since August 2025 (`SendMessage` in its API reference).
const QUEUED: usize = 1 << 20;
/// Longest message to a WebSocket, bytes: "Message payload size" in API Gateway's quotas.
const SENT: usize = 128 << 10;

/// Whether SQS takes this character: "Message content" in its quotas.
fn may_be_queued(it: char) -> bool {
    matches!(it, '\u{9}' | '\u{a}' | '\u{d}' | '\u{20}'..='\u{fffd}' | '\u{10000}'..)
}

impl QueuePort for Memory {
    fn send<'a>(&'a self, message: &'a Queued) -> BoxFuture<'a, Result<(), QueueError>> {
        Box::pin(async move {
            let body = queue::body(message)?;
            if body.len() > QUEUED {
                return Err(CallError::refused(queue::SEND, format!("a message of {} bytes", body.len())).into());
            }
            if !body.chars().all(may_be_queued) {
                return Err(CallError::refused(queue::SEND, "a character that no message may have").into());
            }
            let mut state = self.state();
            if state.queue_fails {
                return Err(CallError::passing(queue::SEND, "the queue is broken").into());
            }
            state.queued.push(message.clone());
            Ok(())
        })
    }
}

impl SocketPort for Memory {
    fn send<'a>(&'a self, to: &'a ConnectionId, text: &'a str) -> BoxFuture<'a, Result<(), SocketError>> {
        Box::pin(async move {
            let mut state = self.state();
            if state.gone.contains(to) {
                return Err(SocketError::Gone);
            }
            let refused = |why: String| SocketError::from(CallError::refused(sockets::POST, why));
            if text.len() > SENT {
                return Err(refused(format!("a message of {} bytes", text.len())));
            }
            // API Gateway takes any text, but all of ours are JSON.
            let value = serde_json::from_str(text).map_err(|error| refused(error.to_string()))?;
            state.sent.push((to.clone(), value));
            Ok(())
        })
    }

    fn close<'a>(&'a self, connection: &'a ConnectionId) -> BoxFuture<'a, Result<(), SocketError>> {
        Box::pin(async move {
            self.state().gone.insert(connection.clone());
            Ok(())
        })
    }
}
