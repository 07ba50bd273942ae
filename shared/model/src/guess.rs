//! How long things take before anything was learned: one table for what painters are told and when a run is
//! given up. Each use has margins of its own over the same base numbers.

use std::time::Duration;

/// One unit of work (a step of one megapixel of one picture) on a mid-range GPU: SD1.5 to SDXL on an A10G, on which a
/// picture of 30 such steps takes 3 to 8 s.
pub const PER_WORK: Duration = Duration::from_millis(200);
/// A checkpoint from the instance's disk into VRAM: 2 to 7 GB, read sequentially.
pub const LOAD: Duration = Duration::from_secs(5);
/// The size of a checkpoint of which it is not known, bytes: 2 to 7 GB.
pub const MODEL_BYTES: u64 = 5_000_000_000;
/// A megabyte from a machine's own disk into its GPU, milliseconds: what makes [`LOAD`] of [`MODEL_BYTES`].
pub const DISK_MS: f64 = 1.0;
/// A megabyte from the file system that the machines share, milliseconds: at 1500 MB/s, as `ops storage` assumes.
pub const SHARED_MS: f64 = 1.0 / 1.5;
/// A megabyte from the bucket, milliseconds: at 300 MB/s, as `ops storage` assumes.
pub const BUCKET_MS: f64 = 1.0 / 0.3;
/// A machine from the decision to start it until it is ready: 60 to 120 s of boot, 20 to 40 s of warm-up.
pub const START: Duration = Duration::from_mins(2);
/// The work of a picture of which nothing is known.
pub const USUAL_WORK: f64 = 30.0;
/// No run takes less, whatever was learned: fetching, rendering and uploading are not free. A task that were expected to
/// take no time would weigh nothing in line.
pub const LEAST_RUN: Duration = Duration::from_millis(500);

/// What a run is expected to take: a mid-range GPU that mostly has the model loaded. What is learned replaces it.
pub const EXPECTED: Guess = Guess::of(0, 1);
/// After how long a run is given up: models that come over the network first, a GPU that is 25 times slower. The
/// default of the settings `run_floor` and `run_per_work`, which replace it.
pub const LIMIT: Guess = Guess::of(60, 25);

/// A time that grows with the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guess {
    /// For any work.
    pub fixed: Duration,
    /// For each unit of work on top of it.
    pub per_work: Duration,
}

impl Guess {
    /// So many loads of a checkpoint, and so many times the base number for the work.
    const fn of(loads: u32, times: u32) -> Self {
        Self {
            fixed: LOAD.saturating_mul(loads),
            per_work: PER_WORK.saturating_mul(times),
        }
    }

    /// The time for this much work; no work where it is no number, and at most a million units.
    pub fn time(self, work: f64) -> Duration {
        let work = if work.is_finite() {
            work.clamp(0.0, MOST_WORK)
        } else {
            0.0
        };
        let grown = Duration::try_from_secs_f64(self.per_work.as_secs_f64() * work);
        self.fixed.saturating_add(grown.unwrap_or(Duration::MAX))
    }
}

/// Nobody asks for a million steps: a wild number must not become a wild time.
const MOST_WORK: f64 = 1e6;
