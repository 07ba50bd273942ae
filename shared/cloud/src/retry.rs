//! Trying again after a conflict.

use std::time::Duration;

use model::metrics::RETRIES;

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

/// The attempts at one read-decide-write.
#[derive(Debug, Default)]
pub struct Attempts(u32);

impl Attempts {
    /// Whether another attempt is due after this result; the pauses grow from some milliseconds to [`LONGEST`], each random.
    pub async fn again<T, E: MayConflict>(&mut self, result: &Result<T, E>) -> bool {
        self.0 += 1;
        let conflict = matches!(result, Err(error) if error.is_conflict());
        if !conflict || self.0 >= ATTEMPTS {
            return false;
        }
        crate::metrics::note([RETRIES.of(1.0)], &[]);
        let most = (4u64 << self.0.min(7)).min(LONGEST);
        tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=most))).await;
        true
    }
}

/// Reads, decides and writes until no conflict. A macro, since no future of an async closure is known to be `Send`, as a
/// router's handlers must be.
#[macro_export]
macro_rules! on_conflict {
    ($operation:block) => {{
        let mut attempts = $crate::retry::Attempts::default();
        loop {
            let result = async $operation.await;
            if !attempts.again(&result).await {
                break result;
            }
        }
    }};
}
