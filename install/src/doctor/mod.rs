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
pub use snapshot::{Answer, Catalogue, Drifted, PoolSeen, Seen, Snapshot, TableSeen, Unseen};

use crate::aws::Aws;

/// The slowest tick that is looked for happens every five minutes. Logs come late.
pub const TICK_WITHIN: Duration = Duration::from_mins(10);

/// The functions with such a tick, and the names of their logs in the template. What happens more rarely is looked for nowhere:
/// `catalog` and `archive` are called by others too, so that what they log says nothing of it.
const TICKS: [(&str, &str); 3] = [
    ("forecast", "ForecastLogs"),
    ("idle-reaper", "IdleReaperLogs"),
    ("lifecycle", "LifecycleLogs"),
];

/// Queues of what nobody could handle, by their names in the template.
const DEAD_RECORDS: &str = "DeadRecords";
const DEAD_TASKS: &str = "DeadTasks";

/// Tables whose items nothing else can make again: the template recovers them to any moment.
const RECOVERABLE: [&str; 4] = ["Accounts", "Catalog", "History", "Tasks"];

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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const TEMPLATE: &str = include_str!("../../../template.yaml");

    /// The template's resources: their names, and what is written of each.
    fn resources() -> BTreeMap<&'static str, String> {
        let text = TEMPLATE.split_once("\nResources:\n").unwrap().1;
        let text = text.split_once("\nOutputs:\n").unwrap().0;
        let (mut found, mut name) = (BTreeMap::<_, String>::new(), "");
        for line in text.lines() {
            match line.strip_prefix("  ") {
                Some(rest) if rest.starts_with(char::is_alphanumeric) => name = rest.split(':').next().unwrap(),
                _ => found.entry(name).or_default().extend([line, "\n"]),
            }
        }
        found
    }

    /// Each word that follows this.
    fn after<'a>(text: &'a str, what: &'a str) -> impl Iterator<Item = &'a str> {
        let rests = text.split(what).skip(1);
        rests.map(|rest| rest.split(|it: char| !it.is_alphanumeric()).next().unwrap())
    }

    #[test]
    fn what_the_template_has_is_looked_at() {
        let resources = resources();
        let recoverable = resources
            .iter()
            .filter(|(_, text)| text.contains("PointInTimeRecoveryEnabled: true"));
        let recoverable: Vec<_> = recoverable.map(|(name, _)| *name).collect();
        assert_eq!(recoverable, RECOVERABLE);

        let every = |text: &str| {
            let rates = text.split("Schedule: rate(").skip(1);
            let minutes = rates.filter_map(|rate| rate.split(" minute").next()?.parse().ok());
            minutes.map(Duration::from_mins).min()
        };
        let ticking = resources
            .values()
            .filter(|text| every(text).is_some_and(|it| it < TICK_WITHIN));
        let mut logs: Vec<_> = ticking.flat_map(|text| after(text, "LogGroup: !Ref ")).collect();
        logs.sort_unstable();
        assert_eq!(logs, TICKS.map(|(_, logs)| logs));

        let mut dead: Vec<_> = after(TEMPLATE, "deadLetterTargetArn: !GetAtt ")
            .chain(after(TEMPLATE, "OnFailure: { Destination: !GetAtt "))
            .collect();
        dead.sort_unstable();
        dead.dedup();
        assert_eq!(dead, [DEAD_RECORDS, DEAD_TASKS]);
    }
}
