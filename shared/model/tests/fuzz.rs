//! What workers, painters and the server tell each other, as nobody meant it: it is not read, or reads back as written.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use fuzz::Sample;
use model::{
    socket::{ClientMessage, ServerMessage},
    worker_api::{Claim, FreshUrls, Heartbeat, HeartbeatReply, Register, Registered, RunEnded, RunFailure, RunResult},
};
use serde::{Serialize, de::DeserializeOwned};

fn reads<T: Serialize + DeserializeOwned>(json: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<T>(json) else {
        return false;
    };
    let written = serde_json::to_string(&value).unwrap();
    match serde_json::from_str::<T>(&written) {
        Ok(again) => assert_eq!(serde_json::to_string(&again).unwrap(), written),
        // A share that no `f32` holds is infinite; `Task::take_progress` takes none.
        Err(error) => assert!(error.to_string().contains("null, expected f32"), "{error}: {written}"),
    }
    true
}

#[test]
fn fuzz_messages() {
    let mut files = fuzz::corpus("events/items/0.1.0");
    files.retain(|(name, _)| name.starts_with("api-") || name.starts_with("message-"));
    let messages: Vec<_> = files.into_iter().map(|(_, message)| message).collect();
    let taken = |json: &Sample| {
        let readers = [
            reads::<Register>,
            reads::<Registered>,
            reads::<Claim>,
            reads::<Heartbeat>,
            reads::<HeartbeatReply>,
            reads::<RunResult>,
            reads::<RunFailure>,
            reads::<RunEnded>,
            reads::<FreshUrls>,
            reads::<ClientMessage>,
            reads::<ServerMessage>,
        ];
        // Each is read as everything.
        readers.into_iter().filter(|read| read(json)).count() > 0
    };
    fuzz::run(500, |chance| chance.json(&messages), taken);
}
