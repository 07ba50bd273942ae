//! A studio in memory: tables, queue, bucket, sockets, instances, and all handlers.

mod answer;
mod calls;
mod events;
mod names;
mod scrub;
mod sts;
mod tables;
mod things;
mod world;

pub(crate) use answer::Answer;
pub(crate) use calls::is_page;
pub(crate) use events::{changes, claims, golden, http, painter, socket_event, sqs, wire, worker_context, workspace};
pub(crate) use names::*;
pub(crate) use scrub::scrubbed;
pub(crate) use sts::FakeSts;
pub(crate) use things::task;
pub(crate) use world::World;

/// Whether everything is to be tried that may be, which takes minutes: `.ci/run` does, `cargo test` tries a part of it.
pub(crate) fn thorough() -> bool {
    std::env::var_os("THOROUGH").is_some()
}
