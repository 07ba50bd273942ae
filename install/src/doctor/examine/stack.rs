//! The stack itself, its quotas, its APIs, its key.

use std::{cmp::Ordering, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};

use super::Findings;
use crate::{
    deploy::check::{concurrency, link},
    doctor::{Answer, Seen, Severity, Snapshot},
    resources,
};

/// AWS refuses what is signed by a clock that is off by more than five minutes.
const CLOCK: (Duration, Duration) = (Duration::from_mins(1), Duration::from_mins(4));
/// A new account has ten; each painter who waits holds one, and so does each call of a machine.
const CALLS_AT_ONCE: f64 = 100.0;

pub(super) fn examine(snapshot: &Snapshot, findings: &mut Findings) {
    findings.seen("account", "whose account this is", &snapshot.account);
    stack(snapshot, findings);
    if matches!(snapshot.stack, Ok(None)) {
        return;
    }
    drift(snapshot, findings);
    calls(snapshot, findings);
    reached("API", &snapshot.api, 200..=299, findings);
    // It lets nobody in without a token, and says so.
    reached("WebSocket", &snapshot.socket, 200..=499, findings);
    clock(snapshot, findings);
    version(snapshot, findings);
    key(snapshot, findings);
}

fn calls(snapshot: &Snapshot, findings: &mut Findings) {
    let Some(calls) = findings.seen("quota", "the quota of function calls", &snapshot.concurrency) else {
        return;
    };
    if *calls < CALLS_AT_ONCE {
        findings.warning(
            "quota",
            format!("only {calls} calls of functions may run at once; each painter who waits for a picture holds one"),
            format!(
                "ask AWS for 1000 (Lambda, Concurrent executions): {}",
                link(&snapshot.region, ("lambda", "L-B99A9384"))
            ),
        );
    }
    if let Ok(Some(stack)) = &snapshot.stack
        && let Some((compared, text)) = concurrency(stack.parameters.get("Settings").map_or("", String::as_str), *calls)
    {
        // Fewer may be meant so: others of the account need some, too.
        let severity = match compared {
            Ordering::Greater => Severity::Warning,
            _ => Severity::Note,
        };
        findings.add(severity, "settings", text, "");
    }
}

fn stack(snapshot: &Snapshot, findings: &mut Findings) {
    let name = &snapshot.name;
    let Some(stack) = findings.seen("stack", "the stack", &snapshot.stack) else {
        return;
    };
    let Some(stack) = stack else {
        let what = format!("there is no stack {name} in {}", snapshot.region);
        findings.broken(
            "stack",
            what,
            "give --stack, or set AWS_REGION to where it is; `ops deploy` makes one",
        );
        return;
    };
    let why = stack.reason.as_ref().map_or(String::new(), |it| format!(" ({it})"));
    match stack.status.as_str() {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" => {}
        "UPDATE_ROLLBACK_COMPLETE" => findings.warning(
            "stack",
            format!("the last change of {name} failed and was taken back{why}"),
            "see the stack's events for the first failure, and repeat the change",
        ),
        // Nothing works on it: a change set waits for somebody to carry it out.
        "REVIEW_IN_PROGRESS" => findings.broken(
            "stack",
            format!("of {name} there is only a plan that nobody carried out"),
            "`ops deploy` makes it",
        ),
        status if status.ends_with("_IN_PROGRESS") => findings.warning(
            "stack",
            format!("{name} is being changed: {status}"),
            "wait, and ask again",
        ),
        status => findings.broken(
            "stack",
            format!("{name} is {status}{why}"),
            "see the stack's events for the first failure; `ops deploy` goes on where it can",
        ),
    }
}

fn drift(snapshot: &Snapshot, findings: &mut Findings) {
    if let Some(list) = findings.seen("stack", "the list of its resources", &snapshot.resources) {
        for it in list.iter().filter(|it| resources::of(&it.kind).is_none()) {
            findings.warning(
                "stack",
                format!("{} is a {}, which this `ops` does not know", it.logical, it.kind),
                "take the `ops` of the stack's release",
            );
        }
    }
    let Some(drifted) = findings.seen("drift", "the stack's drift", &snapshot.drift) else {
        return;
    };
    for it in drifted {
        // CloudFormation compares templates: a deployment of the same one changes nothing.
        let see = format!(
            "`aws cloudformation describe-stack-resource-drifts --stack-name {}` shows how",
            snapshot.name
        );
        if it.deleted {
            findings.broken(
                "drift",
                format!("{} ({}) was deleted by hand", it.logical, it.kind),
                format!(
                    "no deployment makes it again; make it by hand under the name that it had and as the template has \
                     it, {see}; docs/recovery.md for what was in a table"
                ),
            );
        } else {
            let todo = format!("no deployment changes it back; do so by hand, {see}");
            let what = format!(
                "{} ({}) was changed by hand: {}",
                it.logical,
                it.kind,
                it.properties.join(", ")
            );
            findings.warning("drift", what, todo);
        }
    }
}

fn reached(about: &str, seen: &Seen<Answer>, good: std::ops::RangeInclusive<u16>, findings: &mut Findings) {
    match seen {
        Ok(answer) if good.contains(&answer.status) => {}
        Ok(answer) => findings.broken(
            about,
            format!("it answers with status {}", answer.status),
            "see the log of `account` and the access log of the API",
        ),
        Err(why) => findings.broken(
            about,
            format!("it cannot be reached from here: {why}"),
            "look whether this machine has a way out; if others reach it neither, see the drift",
        ),
    }
}

fn clock(snapshot: &Snapshot, findings: &mut Findings) {
    let mut answers = [&snapshot.api, &snapshot.socket].into_iter().flatten();
    let Some((date, at)) = answers.find_map(|it| Some((it.date?, it.at))) else {
        return;
    };
    let (off, how) = if at > date {
        (at.since(date), "ahead of")
    } else {
        (date.since(at), "behind")
    };
    let what = format!("this machine's clock is {} s {how} AWS's", off.as_secs());
    let todo = "set it by NTP (`timedatectl set-ntp true`)";
    if off >= CLOCK.1 {
        findings.broken("clock", format!("{what}: AWS refuses what it signs"), todo);
    } else if off >= CLOCK.0 {
        findings.warning("clock", what, todo);
    }
}

fn version(snapshot: &Snapshot, findings: &mut Findings) {
    let ours = env!("CARGO_PKG_VERSION");
    if let Ok(Answer {
        version: Some(theirs), ..
    }) = &snapshot.api
        && theirs != ours
    {
        findings.warning(
            "version",
            format!("the functions are of release {theirs}, this `ops` of {ours}"),
            "take the `ops` of that release, or bring the stack to this one by `ops upgrade`",
        );
    }
}

fn key(snapshot: &Snapshot, findings: &mut Findings) {
    let Some(stored) = findings.seen("key", "the signing key", &snapshot.key) else {
        return;
    };
    let Ok(Some(stack)) = &snapshot.stack else { return };
    let Some(stored) = stored else {
        let what = "the secret holds no key yet, so no machine can register and nobody can sign in";
        findings.broken("key", what, "`ops seed` stores it");
        return;
    };
    let wanted = stack
        .parameters
        .get("TokenPublicKey")
        .map(String::as_str)
        .unwrap_or_default();
    if bytes(wanted) != bytes(stored) {
        findings.broken(
            "key",
            "the stored key is not the one that the stack checks tokens with, so every new token is refused",
            "deploy with TokenPublicKey of the stored key, or store the right one by `ops seed --key`",
        );
    }
}

/// A public key's DER, from PEM or base64.
fn bytes(key: &str) -> Option<Vec<u8>> {
    let lines = key.lines().filter(|line| !line.starts_with("-----"));
    let base64: String = lines.flat_map(str::chars).filter(|it| !it.is_whitespace()).collect();
    BASE64_STANDARD.decode(base64).ok()
}
