//! ComfyUI's WebSocket: progress, and a hint that a run has ended.
//!
//! Each run has a socket of its own with a name of its own. ComfyUI has a bug that makes a second socket of the same name
//! silent for ever, and sends a run's events only to the name under which it was posted: so there is nothing that a
//! reconnect could bring, and a broken socket leaves the run to polling.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    connect_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};
use uuid::Uuid;

use crate::preview::Eye;

/// Something ComfyUI says about a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RunEvent {
    /// A node has begun.
    Executing(String),
    /// A node's own progress.
    Progress { node: String, value: f64, max: f64 },
    /// These nodes need not run.
    Cached(Vec<String>),
    /// It has ended, somehow; history tells how.
    Ended,
}

/// The ear for one run.
#[derive(Debug)]
pub(crate) struct Listener {
    /// The name to post the graph under.
    pub(crate) client: String,
    events: mpsc::Receiver<(String, RunEvent)>,
    task: JoinHandle<()>,
}

const OPEN: Duration = Duration::from_secs(3);
/// Previews and pictures come as frames; those of a large canvas have tens of megabytes.
const LARGEST: usize = 512 << 20;
/// Asks for previews that say which run they belong to. Must be the first message.
const FEATURES: &str = r#"{"type":"feature_flags","data":{"supports_preview_metadata":true}}"#;

/// How large what it sends may be.
pub(crate) fn frames() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST))
}

impl Listener {
    /// Opens a socket. Without one the listener stays silent, and the run goes on by polling. Pictures go to the eye.
    pub(crate) async fn open(base: &str, mut eye: Option<Eye>) -> Self {
        let client = Uuid::new_v4().to_string();
        let (sender, events) = mpsc::channel(256);
        let url = format!("{}/ws?clientId={client}", base.replacen("http", "ws", 1));
        let socket = timeout(OPEN, async {
            let (mut socket, _) = connect_async_with_config(url, Some(frames()), true).await?;
            socket.send(Message::text(FEATURES)).await?;
            Ok::<_, tokio_tungstenite::tungstenite::Error>(socket)
        });
        let socket = match socket.await {
            Ok(Ok(socket)) => Some(socket),
            Ok(Err(error)) => {
                tracing::warn!(%error, "ComfyUI's WebSocket does not open; this run is only polled");
                None
            }
            Err(_) => {
                tracing::warn!("ComfyUI's WebSocket does not open in time; this run is only polled");
                None
            }
        };
        let task = tokio::spawn(async move {
            let Some(mut socket) = socket else { return };
            // Dropping a report is better than letting ComfyUI's messages pile up, but an end must get through.
            while let Some(Ok(message)) = socket.next().await {
                let text = match (message, &mut eye) {
                    (Message::Text(text), _) => text,
                    (Message::Binary(frame), Some(eye)) => {
                        eye.saw(&frame, Instant::now());
                        continue;
                    }
                    _ => continue,
                };
                let Some(event) = parse(&text) else { continue };
                let heard = match event.1 {
                    RunEvent::Ended => sender.send(event).await.is_ok(),
                    _ => !matches!(sender.try_send(event), Err(mpsc::error::TrySendError::Closed(_))),
                };
                if !heard {
                    return;
                }
            }
        });
        Self { client, events, task }
    }

    /// The next event of this run; never resolves again once the socket has closed.
    pub(crate) async fn next(&mut self, run: &str) -> RunEvent {
        loop {
            match self.events.recv().await {
                Some((id, event)) if id == run => return event,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Whether anything can still be heard.
    pub(crate) fn is_open(&self) -> bool {
        !self.events.is_closed() || !self.events.is_empty()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A message about a run, with the run's id. None for any other.
pub(super) fn parse(text: &str) -> Option<(String, RunEvent)> {
    #[derive(Deserialize)]
    struct Frame {
        #[serde(rename = "type")]
        kind: String,
        #[serde(default)]
        data: Data,
    }
    #[derive(Default, Deserialize)]
    struct Data {
        prompt_id: Option<String>,
        #[serde(default)]
        node: Value,
        value: Option<f64>,
        max: Option<f64>,
        nodes: Option<Value>,
    }
    let Frame { kind, data } = serde_json::from_str(text).ok()?;
    let id = data.prompt_id?;
    let event = match (kind.as_str(), data.node) {
        ("executing", Value::Null) | ("execution_success" | "execution_error" | "execution_interrupted", _) => {
            RunEvent::Ended
        }
        ("executing", Value::String(node)) => RunEvent::Executing(node),
        ("progress", Value::String(node)) => RunEvent::Progress {
            node,
            value: data.value?,
            max: data.max?,
        },
        ("execution_cached", _) => RunEvent::Cached(serde_json::from_value(data.nodes?).ok()?),
        _ => return None,
    };
    Some((id, event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_about_runs() {
        for (text, event) in [
            (
                r#"{"type":"executing","data":{"node":"3","display_node":"3","prompt_id":"r"}}"#,
                RunEvent::Executing("3".into()),
            ),
            (
                r#"{"type":"executing","data":{"node":null,"prompt_id":"r"}}"#,
                RunEvent::Ended,
            ),
            (
                r#"{"type":"progress","data":{"value":2,"max":4,"prompt_id":"r","node":"3"}}"#,
                RunEvent::Progress {
                    node: "3".into(),
                    value: 2.0,
                    max: 4.0,
                },
            ),
            (
                r#"{"type":"execution_cached","data":{"nodes":["4"],"prompt_id":"r","timestamp":1}}"#,
                RunEvent::Cached(vec!["4".into()]),
            ),
            (
                r#"{"type":"execution_interrupted","data":{"prompt_id":"r","node_id":"3"}}"#,
                RunEvent::Ended,
            ),
        ] {
            assert_eq!(parse(text), Some(("r".to_owned(), event)));
        }
        for text in [
            r#"{"type":"status","data":{"status":{"exec_info":{"queue_remaining":0}},"sid":"x"}}"#,
            r#"{"type":"executing","data":{"node":"3"}}"#,
            "no JSON",
        ] {
            assert_eq!(parse(text), None);
        }
    }
}
