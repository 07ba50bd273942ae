//! Waiting for AWS.

use std::time::Duration;

/// Pauses between looks at what takes AWS a moment or some minutes.
#[derive(Debug)]
pub(crate) struct Pauses(Duration);

impl Pauses {
    const LONGEST: Duration = Duration::from_secs(5);

    pub(crate) const fn new() -> Self {
        Self(Duration::from_millis(100))
    }

    /// Each is twice as long as the one before, up to five seconds.
    pub(crate) async fn next(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Self::LONGEST);
    }
}
