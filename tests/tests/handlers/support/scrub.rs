//! What a snapshot leaves out.

use serde_json::Value;

use super::{RUN, TASK, WORKER};

/// The value without what differs from run to run: fresh ids and tokens; plans, which have tests of their own.
pub(crate) fn scrubbed(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(scrub_text(&text)),
        Value::Array(list) => list.into_iter().map(scrubbed).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| {
                let value = match key.as_str() {
                    "plan" | "warm_up" if value.is_object() => Value::from("[plan]"),
                    _ => scrubbed(value),
                };
                (key, value)
            })
            .collect(),
        other => other,
    }
}

fn scrub_text(text: &str) -> String {
    if text.starts_with("eyJ") {
        return "[token]".to_owned();
    }
    let mut result = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if !c.is_ascii_hexdigit() {
            result.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let long = rest
            .find(|c: char| !c.is_ascii_hexdigit() && c != '-')
            .unwrap_or(rest.len());
        let digits = rest[..long].chars().filter(char::is_ascii_hexdigit).count();
        let known = [TASK, RUN].iter().find(|known| rest.starts_with(**known));
        let fixed = rest.starts_with(&WORKER[2..26]) || rest.starts_with("53504135");
        if let Some(known) = known {
            result.push_str(known);
            rest = &rest[known.len()..];
        } else if digits == 32 && !fixed {
            result.push_str("[id]");
            rest = &rest[long..];
        } else {
            result.push_str(&rest[..long]);
            rest = &rest[long..];
        }
    }
    result
}
