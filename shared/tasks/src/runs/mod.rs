//! Transitions that concern a task and its worker together, shared by several functions: one code path each.

mod cancel;
mod claim;
mod end;
mod error;
mod fail;
mod settle;
mod shown;
mod workers;

pub use cancel::cancel;
pub use claim::{Claimed, claim};
pub use end::{Ended, end_run, lose_run};
pub use error::RunError;
pub use fail::{fail, give_back};
pub use workers::{change_worker, move_worker, outcome};
