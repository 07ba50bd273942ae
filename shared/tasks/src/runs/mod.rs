//! Transitions that concern a task and its worker together, shared by several functions: one code path each.

mod cancel;
mod cancel_all;
mod claim;
mod end;
mod error;
mod fail;
mod preempt;
mod settle;
mod shown;
mod workers;

pub use cancel::{cancel, cancel_and};
pub use cancel_all::cancel_all;
pub use claim::{Claimed, claim};
pub use end::{Ended, end_run, lose_run, take_back};
pub use error::RunError;
pub use fail::fail;
pub use preempt::preempt;
pub use workers::{change_worker, change_worker_and, move_worker, outcome};
