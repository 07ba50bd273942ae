//! Trying again after a conflict.

use std::time::Duration;

use crate::StoreError;

/// An error that may say: somebody else wrote in between.
pub trait MayConflict {
    /// Whether reading again and deciding again makes sense.
    fn is_conflict(&self) -> bool;
}

impl MayConflict for StoreError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict)
    }
}

/// Most attempts at one read-decide-write.
const ATTEMPTS: u32 = 12;

/// Longest pause, milliseconds: long enough for 20 writers who meet on one item and take 30 ms each.
const LONGEST: u64 = 400;

/// Reads, decides and writes until no conflict: the pauses grow from some milliseconds to [`LONGEST`], each random.
pub async fn on_conflict<T, E: MayConflict>(mut operation: impl AsyncFnMut() -> Result<T, E>) -> Result<T, E> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match operation().await {
            Err(error) if error.is_conflict() && attempt < ATTEMPTS => {
                let most = (4u64 << attempt.min(7)).min(LONGEST);
                tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=most))).await;
            }
            result => return result,
        }
    }
}
