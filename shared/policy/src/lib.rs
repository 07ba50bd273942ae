//! What to decide: pure, total functions over snapshots.
//!
//! No clock, no I/O, no AWS. A Lambda loads a snapshot, calls one function, logs the plan and carries it out with
//! conditional writes; the simulator calls the same functions.

pub mod breaker;
pub mod claim;
pub mod coming;
pub mod count;
pub mod demand;
pub mod estimate;
pub mod fair;
pub mod forecast;
pub mod hazard;
pub mod hold;
pub mod learn;
pub mod load;
pub mod measure;
pub mod meter;
pub mod place;
pub mod preempt;
pub mod presence;
pub mod price;
pub mod rate;
pub mod reap;
pub mod record;
pub mod run;
pub mod scale;
mod snapshot;
pub mod start;
pub mod wait;
pub mod watch;

pub use snapshot::PoolSnapshot;
