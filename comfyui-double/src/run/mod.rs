//! Running prompts: one after the other, on a thread of its own.

mod cache;
mod execute;
pub(crate) mod prompt_worker;
mod report;
mod running;
mod stage;
