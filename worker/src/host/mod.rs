//! The machine that the worker runs on.

mod command;
mod dead_man;
mod gpu;

pub(crate) use command::run;
pub(crate) use dead_man::{DeadMan, shut_down};
pub(crate) use gpu::Gpu;
