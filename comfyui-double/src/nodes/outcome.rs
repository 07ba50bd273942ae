//! How a node ends.

use super::thing::Thing;

/// Why a node did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Exception {
        kind: String,
        message: String,
    },
    Interrupted,
    /// The double is being stopped.
    Stopped,
}

impl Trouble {
    pub(crate) fn exception(kind: &str, message: impl Into<String>) -> Self {
        Self::Exception {
            kind: kind.to_owned(),
            message: message.into(),
        }
    }
}

/// What a node gives, one thing for each of its outputs.
pub(crate) type Outcome = Result<Vec<Thing>, Trouble>;
