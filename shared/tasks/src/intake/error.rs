use std::time::Duration;

use cloud::{StoreError, bucket::BucketError, http::HttpError, retry::MayConflict};
use model::PoolId;

use crate::bodies::BodyError;

/// A task was not let in.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The request's pictures are not as they should be.
    #[error("{0}")]
    Files(&'static str),
    /// Too many requests at once; in this time there is room again.
    #[error("{who} sent too many requests at once")]
    TooMany {
        /// "You have" or "Your team has".
        who: &'static str,
        /// When to ask again.
        wait: Duration,
    },
    /// The account's pool is not there: nobody would ever render it.
    #[error("there is no pool {0}")]
    NoPool(PoolId),
    /// Too many places to upload to are open; in this time one closes.
    #[error("too many uploads are open")]
    TooManyUploads {
        /// When to ask again.
        wait: Duration,
    },
    /// Too much of the painter's rendering ended without a picture.
    #[error("{used:?} of rendering ended without a picture")]
    TooMuchUnpaid {
        /// How much there is this month.
        used: Duration,
        /// The whole credits that are left.
        left: u64,
    },
    /// The budget does not suffice.
    #[error("this needs up to {wanted} credits, and {left} of {budget} are free")]
    OverBudget {
        /// Credits that it may cost.
        wanted: u64,
        /// Credits that are left of this month's budget.
        left: u64,
        /// The month's budget.
        budget: u64,
    },
    /// The plan cannot be written.
    #[error("the plan cannot be written as JSON")]
    Plan(#[from] serde_json::Error),
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The task's large part.
    #[error(transparent)]
    Body(#[from] BodyError),
}

impl IntakeError {
    /// What of the request was refused, as [`model::metrics::REFUSALS`] tells it apart; none where it is a failure of ours.
    pub(super) const fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::Files(_) => Some("request"),
            Self::TooMany { .. } | Self::TooManyUploads { .. } => Some("rate"),
            Self::TooMuchUnpaid { .. } | Self::OverBudget { .. } => Some("budget"),
            Self::NoPool(_) => Some("pool"),
            Self::Plan(_) | Self::Store(_) | Self::Bucket(_) | Self::Body(_) => None,
        }
    }
}

impl MayConflict for IntakeError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_conflict())
    }
}

impl From<IntakeError> for HttpError {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Files(what) => Self::new(400, format!("Validation error: {what}")),
            IntakeError::TooMany { who, wait } => {
                let seconds = wait.as_secs() + 1;
                let message = format!("{who} sent too many requests at once. Try again in {seconds} s.");
                Self::too_many(message, Duration::from_secs(seconds))
            }
            IntakeError::NoPool(pool) => Self::new(
                409,
                format!(
                    "Your pictures are to be rendered in the pool {pool}, which does not exist. Tell your studio's operator."
                ),
            ),
            IntakeError::TooManyUploads { wait } => {
                let seconds = wait.as_secs() + 1;
                let message = format!(
                    "You have begun too many uploads that no request has used. Try again in {}.",
                    if seconds > 90 {
                        format!("{} min", seconds.div_ceil(60))
                    } else {
                        format!("{seconds} s")
                    }
                );
                Self::too_many(message, Duration::from_secs(seconds))
            }
            IntakeError::TooMuchUnpaid { used, left } => Self::no_credits(
                format!(
                    "This month {} min of your rendering ended without a picture: canceled, too long, or out of memory. \
                     That is as much as your studio allows; ask whoever looks after it.",
                    used.as_secs() / 60
                ),
                left,
            ),
            IntakeError::OverBudget { wanted, left, budget } => Self::no_credits(
                format!(
                    "This needs up to {wanted} credits; {left} of this month's {budget} are free. Ask for fewer or \
                     smaller pictures, wait for those on the way, or ask your studio for more credits."
                ),
                left,
            ),
            IntakeError::Plan(error) => Self::broken(error),
            IntakeError::Store(error) => error.into(),
            IntakeError::Bucket(error) => error.into(),
            IntakeError::Body(error) => error.into(),
        }
    }
}
