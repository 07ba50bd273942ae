//! The calls that are measured: golden events, each at the moment in which it is what usually happens.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::studio::Moment;

/// A call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// What it is, for people.
    pub(crate) name: &'static str,
    /// Whose it is.
    pub(crate) function: &'static str,
    /// The golden event.
    pub(crate) event: &'static str,
    /// When it comes.
    pub(crate) moment: Moment,
}

const fn call(function: &'static str, event: &'static str, moment: Moment, name: &'static str) -> Call {
    Call {
        name,
        function,
        event,
        moment,
    }
}

/// All calls, at least one of each function.
pub(crate) const CALLS: [Call; 12] = [
    call("authorize", "http", Moment::Quiet, "valid token"),
    call("account", "user", Moment::Quiet, "user"),
    call("generate", "submit", Moment::Quiet, "submit, a worker is woken"),
    call("generate", "status", Moment::Waiting, "status of a waiting task"),
    call("generate", "status", Moment::Finished, "status of a finished one"),
    call("dispatch", "batch", Moment::Waiting, "a batch, a worker is woken"),
    call("claim", "claim", Moment::Waiting, "claim"),
    call("claim", "heartbeat-busy", Moment::Running, "heartbeat of a busy worker"),
    call("progress-push", "progress", Moment::Running, "progress"),
    call("lifecycle", "tick", Moment::Running, "tick, one worker renders"),
    call("idle-reaper", "tick", Moment::Waiting, "tick, one worker is ready"),
    call("forecast", "look", Moment::Finished, "what the next hour will ask for"),
];

/// The golden event with this token, as if it happened now.
pub(crate) fn event(events: &Path, call: &Call, token: &str) -> Result<Value> {
    let mut event = golden(events, call.function, call.event)?;
    for pointer in ["/headers/authorization", "/identitySource/0"] {
        if let Some(slot) = event.pointer_mut(pointer) {
            *slot = format!("Bearer {token}").into();
        }
    }
    for pointer in [
        "/requestContext/authorizer/lambda/iat",
        "/requestContext/authorizer/iat",
    ] {
        if let Some(slot) = event.pointer_mut(pointer) {
            *slot = cloud::now().seconds().into();
        }
    }
    Ok(event)
}

/// What the golden submit asks for.
pub(crate) fn request(events: &Path) -> Result<Value> {
    let event = golden(events, "generate", "submit")?;
    let body = event["body"].as_str().context("the golden submit has no body")?;
    Ok(serde_json::from_str(body)?)
}

fn golden(events: &Path, function: &str, name: &str) -> Result<Value> {
    let path = events.join(function).join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}

/// Whether the function did what was asked for.
pub(crate) fn check(call: &Call, answer: &Value) -> Result<()> {
    let good = match call.function {
        "authorize" => answer["isAuthorized"] == true,
        "dispatch" => answer["batchItemFailures"] == json!([]),
        "lifecycle" | "idle-reaper" | "forecast" => answer.is_null(),
        _ => answer["statusCode"] == 200,
    };
    ensure!(good, "{} {}: {answer}", call.function, call.event);
    if (call.function, call.event) == ("claim", "claim") {
        let body = answer["body"].as_str().unwrap_or_default();
        ensure!(body.contains("\"assignment\":{"), "nothing was claimed: {answer}");
    }
    Ok(())
}
