use cloud::{StoreError, http::HttpError, retry::MayConflict};
use model::TransitionError;

/// A transition did not happen.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no such task.
    #[error("there is no such task")]
    NoTask,
    /// What was to be done is not wanted any more, as a consistent look shows.
    #[error("things have changed")]
    Changed,
    /// The state machine says no.
    #[error(transparent)]
    Refused(#[from] TransitionError),
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MayConflict for RunError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_conflict())
    }
}

impl From<RunError> for HttpError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::NoTask => Self::new(404, "There is no such task."),
            RunError::Changed => Self::new(409, "Not possible any more."),
            RunError::Refused(refused) => Self::new(409, format!("Not possible: {refused}.")),
            RunError::Store(error) => error.into(),
        }
    }
}
