//! The machine that the worker runs on.

mod boot;
mod command;
mod dead_man;
mod gpu;
mod storage;
mod usage;

pub(crate) use boot::{Boot, ms};
pub(crate) use command::run;
pub(crate) use dead_man::{DeadMan, shut_down};
pub(crate) use gpu::Gpu;
pub(crate) use storage::{FOLDERS, STORE, Storage, gone};
pub(crate) use usage::usage;
