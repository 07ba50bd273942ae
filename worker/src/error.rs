//! What all errors have in common.

use std::{error::Error, fmt::Write};

/// An error and all its sources in one line, for logs.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        // Writing to a string cannot fail.
        let _ = write!(line, ": {source}");
        next = source.source();
    }
    line
}
