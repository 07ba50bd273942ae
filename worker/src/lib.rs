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
//!
//! | room | holds |
//! | --- | --- |
//! | `agent` | the main loop, and what it decides |
//! | `render` | one run from its assignment to its report, and the health of ComfyUI |
//! | `transfer` | what a run fetches from the bucket and uploads to it |
//! | `control_plane` | the workers' HTTP API and WebSocket: identity, registering, heartbeats |
//! | `comfy` | ComfyUI's protocol |
//! | `images` | the pictures that go in and come out: checked, prepared, finished |
//! | `loras` | what is special to LoRAs: checked, and renamed |
//! | `files` | files of the studio's store: fetched, and kept on the disk |
//! | `host` | this machine: its GPU, its boot, its folders, its commands, its dead-man switch |
//!
//! Uses point downwards in this list. What stands beside the rooms is used by several of them: `event` is what they tell the
//! agent, `status` what they tell about the worker, `preview` the pictures of a run that somebody looks at, `shipping` what is logged.

mod agent;
mod backoff;
mod comfy;
mod config;
mod control_plane;
mod error;
mod event;
mod fetch;
mod files;
mod host;
mod images;
#[cfg(test)]
mod limits;
mod loras;
mod preview;
mod render;
mod shipping;
mod status;
mod transfer;

pub use agent::{Agent, Exit};
pub use config::{LogFormat, Options, Timing};
pub use control_plane::{InstanceIdentity, ProofError};
pub use shipping::{Destination, Intake, Shipper, TARGET, shipping};
