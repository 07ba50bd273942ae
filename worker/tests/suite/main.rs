//! The whole worker, against ComfyUI's double always and against a real ComfyUI where `COMFYUI_URL` names one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

mod bench;
mod both;
mod cloud;
mod faults;
mod kinds;
mod loras;
mod nodes;
