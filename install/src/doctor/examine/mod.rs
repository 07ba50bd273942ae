//! From what was seen to what is to be known. Pure.

mod data;
mod machines;
mod pools;
mod stack;

use std::collections::BTreeSet;

use model::Millis;

use super::{Finding, Seen, Severity, Snapshot};

/// All findings, the worst first.
pub fn examine(snapshot: &Snapshot, now: Millis) -> Vec<Finding> {
    let mut findings = Findings::default();
    stack::examine(snapshot, &mut findings);
    // Without a stack there is nothing else to say.
    if !matches!(snapshot.stack, Ok(None)) {
        pools::examine(snapshot, &mut findings, now);
        machines::examine(snapshot, &mut findings, now);
        data::examine(snapshot, &mut findings);
    }
    let mut findings = findings.0;
    let mut known = BTreeSet::new();
    findings.retain(|it| known.insert((it.about.clone(), it.what.clone())));
    findings.sort_by_key(|it| it.severity);
    findings
}

/// What was found so far.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, severity: Severity, about: &str, what: impl Into<String>, todo: impl Into<String>) {
        self.0.push(Finding {
            severity,
            about: about.to_owned(),
            what: what.into(),
            todo: todo.into(),
        });
    }

    fn broken(&mut self, about: &str, what: impl Into<String>, todo: impl Into<String>) {
        self.add(Severity::Broken, about, what, todo);
    }

    fn warning(&mut self, about: &str, what: impl Into<String>, todo: impl Into<String>) {
        self.add(Severity::Warning, about, what, todo);
    }

    fn note(&mut self, about: &str, what: impl Into<String>) {
        self.add(Severity::Note, about, what, "");
    }

    /// What was seen; a finding if nothing was.
    fn seen<'a, T>(&mut self, about: &str, thing: &str, seen: &'a Seen<T>) -> Option<&'a T> {
        match seen {
            Ok(seen) => Some(seen),
            Err(why) => {
                self.warning(
                    about,
                    format!("{thing} could not be looked at: {why}"),
                    "mend that and ask again",
                );
                None
            }
        }
    }
}

/// A time in the past as people say it.
fn ago(at: Millis, now: Millis) -> String {
    match now.since(at).as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86400),
    }
}

#[cfg(test)]
mod tests;
