//! The agent beside ComfyUI on a GPU instance.
//!
//! It only calls out: to the workers' API, to the bucket by presigned URLs, to the cloud's WebSocket, and to the ComfyUI
//! on its own host. The way of a run:
//!
//! ```text
//! wake, heartbeat, timer ─▶ agent::State ─claim─▶ API ─assignment─▶ render: fetch ─▶ execute ─▶ upload ─▶ result
//!                              ▲   heartbeat (lease; cancel, drain, run lost)         │ ComfyUI        (next assignment)
//!                              └──────────────────────────────────────────────────────┘ history + WebSocket
//! ```
//! Truth is what the HTTP API says. Everything the WebSocket brings only makes it faster.

mod agent;
mod backoff;
mod cloud_api;
mod cloud_socket;
mod comfy;
mod config;
mod darkroom;
mod dead_man;
mod error;
mod fetch;
mod gpu;
mod heartbeat;
mod identity;
mod inputs;
mod loras;
mod progress;
mod registrar;
mod render;
mod result_blob;
mod segment;
mod status;
mod store;

pub use agent::{Agent, Exit};
pub use config::{LogFormat, Options, Timing};
pub use identity::{Identity, IdentityError};
