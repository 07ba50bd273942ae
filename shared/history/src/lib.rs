//! Records of tasks that are over, in the bucket: how they are written, where they lie, and how they are found again.
//!
//! ```text
//! archive/day=2026-11-29/team=studio/<task>.jsonl.gz     a record, keyed by its task, so that a second one replaces it
//! archive/day=2026-11-29/team=studio/all.jsonl.gz        all of the day, from the next one on
//! index/owner=mara/…                                     lists of them
//! ```
//!
//! The day is that on which the task was submitted, UTC. A file is JSON Lines, gzip: a record a line.

mod change;
mod compact;
mod error;
mod file;
mod forget;
pub mod index;
mod record;

pub use change::change;
pub use compact::{Compacted, DAYS, compact};
pub use error::HistoryError;
pub use file::{lines, packed};
pub use forget::forget;
pub use record::{ARCHIVE, Record, find_record, put, record_key};
