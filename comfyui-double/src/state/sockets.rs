//! Who listens on `/ws`, and what goes to whom.

use std::collections::HashMap;

use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// What a socket's task is told to do.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    Text(String),
    Binary(Vec<u8>),
    /// Close without a close frame, as when a process dies.
    Drop,
}

/// A picture that goes out as a binary frame.
pub(crate) struct Frame<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) is_png: bool,
    pub(crate) node: &'a str,
    pub(crate) prompt_id: &'a str,
}

/// All open sockets.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    silent: bool,
    next_connection: u64,
    connections: HashMap<u64, UnboundedSender<Order>>,
    clients: HashMap<String, UnboundedSender<Order>>,
    wants_metadata: HashMap<String, bool>,
}

impl Sockets {
    /// Takes in a socket. An older socket with the same id stays open, but gets nothing more.
    pub(crate) fn open(&mut self, sid: &str) -> (u64, UnboundedReceiver<Order>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.next_connection += 1;
        self.connections.insert(self.next_connection, sender.clone());
        self.clients.insert(sid.to_owned(), sender);
        self.wants_metadata.remove(sid);
        (self.next_connection, receiver)
    }

    /// Forgets a socket that has closed.
    ///
    /// ComfyUI forgets by id, not by socket: if a newer one with the same id is open, that one is
    /// forgotten, and stays open and silent for ever. The bug is kept on purpose.
    pub(crate) fn close(&mut self, connection: u64, sid: &str) {
        self.connections.remove(&connection);
        self.clients.remove(sid);
        self.wants_metadata.remove(sid);
    }

    pub(crate) fn set_metadata(&mut self, sid: &str, wanted: bool) {
        self.wants_metadata.insert(sid.to_owned(), wanted);
    }

    pub(crate) fn metadata_wanted(&self, sid: Option<&str>) -> bool {
        sid.and_then(|sid| self.wants_metadata.get(sid))
            .copied()
            .unwrap_or_default()
    }

    pub(crate) fn set_silent(&mut self, silent: bool) {
        self.silent = silent;
    }

    pub(crate) fn drop_all(&mut self) {
        for sender in self.connections.values() {
            // The task may just have ended by itself.
            let _ = sender.send(Order::Drop);
        }
    }

    /// Sends a message to everybody.
    pub(crate) fn broadcast(&self, kind: &str, data: &Value) {
        self.order(None, &text(kind, data));
    }

    /// Sends a message to a client, or to nobody if the prompt has none.
    pub(crate) fn send(&self, sid: Option<&str>, kind: &str, data: &Value) {
        if sid.is_some() {
            self.order(sid, &text(kind, data));
        }
    }

    /// Sends progress to a client. That of a prompt without a client goes to everybody, as recorded.
    pub(crate) fn send_progress(&self, sid: Option<&str>, kind: &str, data: &Value) {
        self.order(sid, &text(kind, data));
    }

    /// Sends a picture; it is progress too.
    pub(crate) fn send_picture(&self, sid: Option<&str>, frame: &Frame<'_>) {
        let mut bytes = Vec::with_capacity(frame.bytes.len() + 256);
        if self.metadata_wanted(sid) {
            let metadata = json!({
                "node_id": frame.node,
                "prompt_id": frame.prompt_id,
                "display_node_id": frame.node,
                "parent_node_id": null,
                "real_node_id": frame.node,
                "image_type": if frame.is_png { "image/png" } else { "image/jpeg" },
            })
            .to_string();
            bytes.extend(4_u32.to_be_bytes());
            bytes.extend((metadata.len() as u32).to_be_bytes());
            bytes.extend(metadata.as_bytes());
        } else {
            bytes.extend(1_u32.to_be_bytes());
            bytes.extend(if frame.is_png { 2_u32 } else { 1 }.to_be_bytes());
        }
        bytes.extend(frame.bytes);
        self.order(sid, &Order::Binary(bytes));
    }

    /// Whether anybody would get progress sent to this client.
    pub(crate) fn has_listener(&self, sid: Option<&str>) -> bool {
        sid.map_or(!self.clients.is_empty(), |sid| self.clients.contains_key(sid))
    }

    fn order(&self, sid: Option<&str>, order: &Order) {
        if self.silent {
            return;
        }
        let listeners = self
            .clients
            .iter()
            .filter(|(other, _)| sid.is_none_or(|sid| sid == *other));
        for (_, sender) in listeners {
            // A send fails only when the socket is closing; its events are lost in ComfyUI too.
            let _ = sender.send(order.clone());
        }
    }
}

fn text(kind: &str, data: &Value) -> Order {
    Order::Text(json!({ "type": kind, "data": data }).to_string())
}
