//! ComfyUI, as it is spoken to over HTTP and its WebSocket.

mod client;
mod error;
mod events;
#[cfg(test)]
mod fuzz;
mod loading;
mod progress;
mod refusal;
mod replies;
mod run;
mod trouble;

pub(crate) use client::Comfy;
pub(crate) use error::ComfyError;
pub(crate) use events::Listener;
#[cfg(test)]
pub(crate) use events::frames;
pub(crate) use loading::Loading;
pub(crate) use progress::Meter;
pub(crate) use replies::OutputFile;
pub(crate) use run::{Ending, Halted, Made, RunLost, follow, halt, submit};
