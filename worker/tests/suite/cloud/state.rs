//! What the control plane holds, and what it has seen.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard},
};

use axum::http::StatusCode;
use model::{
    TaskId,
    socket::{ClientMessage, ServerMessage},
    worker_api::{Assignment, Heartbeat, Register, RunFailure, RunResult},
};
use tokio::sync::{broadcast, watch};

use super::behaviour::Behaviour;

/// Something a worker did.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    Register(Register),
    Refused,
    Claim {
        task_id: Option<TaskId>,
    },
    Beat(Heartbeat),
    Result(RunResult),
    Failure(RunFailure),
    FreshUrls {
        size: Option<u64>,
    },
    Put {
        status: StatusCode,
        size: u64,
    },
    /// A GET of an object, from this byte on.
    Get {
        key: String,
        from: Option<u64>,
    },
    SocketOpened,
    Said(ClientMessage),
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) behaviour: Behaviour,
    pub(super) queue: VecDeque<Assignment>,
    pub(super) objects: HashMap<String, (Vec<u8>, String)>,
}

pub(super) struct Shared {
    pub(super) inner: Mutex<Inner>,
    pub(super) seen: watch::Sender<Vec<Seen>>,
    pub(super) pushed: broadcast::Sender<ServerMessage>,
    pub(super) url: String,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub(super) fn note(&self, seen: Seen) {
        self.seen.send_modify(|all| all.push(seen));
    }

    /// The address of an object, with a secret in it; with a size, it takes so many bytes only.
    pub(super) fn address(&self, key: &str, size: Option<u64>) -> String {
        let size = size.map(|size| format!("&size={size}")).unwrap_or_default();
        format!("{}/bucket/{key}?X-Amz-Signature=secret{size}", self.url)
    }
}
