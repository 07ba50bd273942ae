//! What a test may change about the control plane.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use axum::http::StatusCode;
use model::{
    RunId,
    worker_api::{FileOffer, HeartbeatReply},
};
use serde_json::Value;

/// How the control plane behaves.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct Behaviour {
    pub(crate) reply: HeartbeatReply,
    /// What to say about this run only.
    pub(crate) about: HashMap<RunId, HeartbeatReply>,
    pub(crate) token: String,
    /// Keys of LoRAs that fresh addresses are given for.
    pub(crate) loras: Vec<String>,
    /// The same of other files.
    pub(crate) models: Vec<String>,
    /// How many GETs of objects meet a bucket in trouble.
    pub(crate) bucket_troubled: u32,
    /// How many uploads meet an expired URL.
    pub(crate) expired: u32,
    /// Whether the bucket takes only results whose size was signed. Older APIs sign none.
    pub(crate) signs_size: bool,
    /// Whether the bucket takes no thumbnails.
    pub(crate) thumbnails_refused: bool,
    /// How the next questions for fresh addresses are refused.
    pub(crate) fresh_refused: VecDeque<StatusCode>,
    /// The address that is given for each upload, if not that of the bucket.
    pub(crate) uploads_go_to: Option<String>,
    pub(crate) next_is_given_with_result: bool,
    pub(crate) registrations_refused: u32,
    pub(crate) dead_man: Duration,
    pub(crate) warm_up: Option<Value>,
    /// Files that are offered at registering.
    pub(crate) files: Vec<FileOffer>,
    pub(crate) has_socket: bool,
    pub(crate) protocol_refused: bool,
    pub(crate) ready_rhythm: Duration,
    pub(crate) busy_rhythm: Duration,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            reply: HeartbeatReply::default(),
            about: HashMap::new(),
            token: "token-1".into(),
            loras: vec![],
            models: vec![],
            bucket_troubled: 0,
            expired: 0,
            signs_size: true,
            thumbnails_refused: false,
            fresh_refused: VecDeque::new(),
            uploads_go_to: None,
            next_is_given_with_result: true,
            registrations_refused: 0,
            dead_man: Duration::from_hours(1),
            warm_up: None,
            files: vec![],
            has_socket: true,
            protocol_refused: false,
            ready_rhythm: Duration::from_millis(200),
            busy_rhythm: Duration::from_millis(100),
        }
    }
}
