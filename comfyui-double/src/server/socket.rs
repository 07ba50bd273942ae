//! `/ws`: a client's socket.

use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::Response;
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use uuid::Uuid;

use super::info::feature_flags;
use crate::state::shared::Shared;
use crate::state::sockets::Order;

#[derive(Deserialize)]
pub(crate) struct Client {
    #[serde(rename = "clientId", default)]
    id: String,
}

pub(crate) async fn connect(
    State(shared): State<Arc<Shared>>,
    Query(client): Query<Client>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.on_upgrade(move |socket| async move {
        let sid = if client.id.is_empty() {
            Uuid::new_v4().simple().to_string()
        } else {
            client.id
        };
        let (connection, orders) = greet(&shared, &sid);
        serve(&shared, &sid, socket, orders).await;
        let mut inner = shared.lock();
        inner.sockets.close(connection, &sid);
        inner.stats.sockets_closed += 1;
    })
}

/// Takes the socket in and says how things stand.
fn greet(shared: &Shared, sid: &str) -> (u64, UnboundedReceiver<Order>) {
    let mut inner = shared.lock();
    inner.stats.sockets += 1;
    let opened = inner.sockets.open(sid);
    let mut status = inner.status();
    status["sid"] = json!(sid);
    inner.sockets.send(Some(sid), "status", &status);
    if let Some(running) = inner
        .running
        .as_ref()
        .filter(|running| running.item.client() == Some(sid))
        && let Some(node) = &running.node
    {
        // Without a prompt id, as recorded.
        inner.sockets.send(Some(sid), "executing", &json!({ "node": node }));
    }
    opened
}

async fn serve(shared: &Shared, sid: &str, mut socket: WebSocket, mut orders: UnboundedReceiver<Order>) {
    let mut is_first = true;
    loop {
        tokio::select! {
            // Orders first: what was sent before a cut is still delivered.
            biased;
            order = orders.recv() => {
                let message = match order {
                    Some(Order::Text(text)) => Message::Text(text.into()),
                    Some(Order::Binary(bytes)) => Message::Binary(bytes.into()),
                    // Only the entry in the list of connections keeps a socket alive that was displaced.
                    Some(Order::Drop) | None => return,
                };
                if socket.send(message).await.is_err() {
                    return;
                }
            }
            received = socket.next() => match received {
                Some(Ok(Message::Text(text))) => {
                    if std::mem::take(&mut is_first) {
                        take_flags(shared, sid, &text);
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
}

/// A client's first text may say what it understands; the answer says what the server can do.
fn take_flags(shared: &Shared, sid: &str, text: &str) {
    let Ok(message) = serde_json::from_str::<Value>(text) else {
        return;
    };
    if message["type"] != "feature_flags" {
        return;
    }
    let mut inner = shared.lock();
    let wanted = message["data"]["supports_preview_metadata"] == json!(true);
    inner.sockets.set_metadata(sid, wanted);
    inner.sockets.send(Some(sid), "feature_flags", &feature_flags(shared));
}
