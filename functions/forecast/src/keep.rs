//! What is kept in the bucket: with a version and a checksum, so that what is damaged is not used.

use cloud::{Bucket, bucket::BucketError, chain};
use forecast::{Record, Saved, open, seal};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tracing::error;

use crate::history::Kept;

/// What was learned, and from what.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Learned {
    pub(crate) arrivals: Saved,
    pub(crate) gpu_s: Saved,
    pub(crate) counts: Vec<Kept>,
}

impl Learned {
    pub(crate) const NAME: &str = "learned";

    /// The slot before which it was learned.
    pub(crate) const fn slot(&self) -> u64 {
        self.arrivals.learned
    }
}

/// What was said, by which members are judged and corrected.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) arrivals: Record,
    pub(crate) gpu_s: Record,
}

impl Said {
    pub(crate) const NAME: &str = "said";
}

/// What lies there: nothing yet, or why it cannot be used.
pub(crate) type Found<T> = Result<Option<T>, String>;

pub(crate) async fn read<T: DeserializeOwned>(bucket: &Bucket, key: &str) -> Result<Found<T>, BucketError> {
    if bucket.head(key).await?.is_none() {
        return Ok(Ok(None));
    }
    let text = bucket.get(key).await?;
    Ok(open(&text).map(Some).map_err(|problem| {
        error!(
            object.key = key,
            error = chain(&problem),
            "what is kept of a forecast is not used"
        );
        problem.to_string()
    }))
}

pub(crate) async fn write<T: Serialize>(bucket: &Bucket, key: &str, it: &T) -> Result<(), BucketError> {
    bucket.put(key, seal(it)).await
}
