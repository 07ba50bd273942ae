//! What is wrong with an installation, and what to do.
//!
//! [`gather`] looks at everything once; what cannot be looked at is a finding too. [`examine`] is pure.

mod examine;
mod gather;
mod snapshot;

use std::{fmt, time::Duration};

use anyhow::Result;
use clap::Args;
use model::Millis;

pub use examine::examine;
pub use gather::gather;
pub use snapshot::{Answer, Drifted, PoolSeen, Seen, Snapshot, TableSeen, Unseen};

use crate::aws::Aws;

/// A tick happens every minute. Logs come late.
pub const TICK_WITHIN: Duration = Duration::from_mins(10);

/// `ops doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The stack.
    #[arg(long, default_value = "atelier")]
    pub stack: String,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Painters get no pictures, or money runs out.
    Broken,
    /// It will be, or a part of it is.
    Warning,
    /// To be known, and nothing wrong.
    Note,
}

/// One thing to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: one word or two.
    pub about: String,
    /// What is so.
    pub what: String,
    /// What to do; empty for nothing.
    pub todo: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Broken => "broken",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        write!(f, "{severity:<8} {:<12} {}", self.about, self.what)?;
        if !self.todo.is_empty() {
            write!(f, "; {}", self.todo)?;
        }
        Ok(())
    }
}

/// Looks, and says what is to be known; the second is whether something is wrong.
pub async fn run(aws: &Aws, arguments: &Doctor, now: Millis) -> Result<(String, bool)> {
    let findings = examine(&Box::pin(gather(aws, &arguments.stack, now)).await, now);
    let wrong = findings.iter().filter(|it| it.severity < Severity::Note).count();
    let mut lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
    lines.push(match wrong {
        0 => "nothing is wrong".to_owned(),
        1 => "one thing is wrong".to_owned(),
        many => format!("{many} things are wrong, the worst first"),
    });
    Ok((lines.join("\n"), wrong > 0))
}
