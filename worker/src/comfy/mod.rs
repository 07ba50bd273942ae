//! ComfyUI, as it is spoken to over HTTP and its WebSocket.

mod client;
mod events;
mod refusal;
mod run;
mod trouble;

pub(crate) use client::{Comfy, ComfyError, OutputFile};
pub(crate) use events::{Listener, RunEvent};
pub(crate) use run::{Ending, Halted, Made, RunLost, follow, halt, submit};
