//! The golden events: one for each trigger, and a test for each event.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use crate::{
    routes,
    support::{golden, workspace},
};

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    entries.map(name).filter(|name| !name.starts_with('.')).collect()
}

/// Hands each golden event of a function to its test and keeps what comes back as a snapshot. `test` must know every
/// event by name, so that an event without a test fails.
pub(crate) async fn walk(function: &str, test: impl AsyncFn(&str, Value) -> Value) {
    for file in names(&workspace().join("events").join(function)) {
        let name = file.strip_suffix(".json").expect("events are JSON files");
        let reply = test(name, golden(function, name)).await;
        insta::assert_json_snapshot!(format!("{function}-{name}"), reply);
    }
}

/// The arm of a test for an event that it does not know.
pub(crate) fn unknown(name: &str) -> ! {
    panic!("there is no test for the golden event {name}.json")
}

/// The functions that have golden events; beside them lie the items of each release.
fn functions() -> BTreeSet<String> {
    let mut names = names(&workspace().join("events"));
    names.remove("items");
    names
}

fn each_event(mut look: impl FnMut(&str, &str, &Value)) {
    for function in functions() {
        for file in names(&workspace().join("events").join(&function)) {
            let name = file.strip_suffix(".json").unwrap();
            look(&function, name, &golden(&function, name));
        }
    }
}

#[test]
fn each_function_has_golden_events() {
    assert_eq!(functions(), names(&workspace().join("functions")));
}

#[test]
fn each_route_has_a_golden_event_of_its_function() {
    let mut found = BTreeSet::new();
    each_event(|function, _, event| {
        let route = event.pointer("/requestContext/routeKey").and_then(Value::as_str);
        if let Some(route) = route {
            found.insert((route.to_owned(), function.to_owned()));
        }
    });
    for route in routes::all() {
        assert!(
            found.contains(&(route.key.clone(), route.function.clone())),
            "{route:?} has no golden event"
        );
    }
}

#[test]
fn http_events_agree_with_themselves() {
    each_event(|function, name, event| {
        let Some(route) = event["routeKey"].as_str() else {
            return;
        };
        let (method, pattern) = route.split_once(' ').unwrap();
        let context = &event["requestContext"];
        assert_eq!(context["routeKey"], route, "{function}/{name}");
        assert_eq!(context["http"]["method"], method, "{function}/{name}");
        assert_eq!(context["http"]["path"], event["rawPath"], "{function}/{name}");
        let parts: Vec<_> = event["rawPath"].as_str().unwrap().split('/').collect();
        assert_eq!(parts.len(), pattern.split('/').count(), "{function}/{name}");
        for (part, wanted) in parts.into_iter().zip(pattern.split('/')) {
            match wanted.strip_prefix('{').and_then(|wanted| wanted.strip_suffix('}')) {
                Some(parameter) => assert_eq!(event["pathParameters"][parameter], part, "{function}/{name}"),
                None => assert_eq!(wanted, part, "{function}/{name}"),
            }
        }
        if let Some(body) = event["body"].as_str() {
            let length = event["headers"]["content-length"].as_str().unwrap();
            assert_eq!(length, body.len().to_string(), "{function}/{name}");
        }
    });
}

#[test]
fn no_golden_event_holds_a_secret() {
    each_event(|function, name, event| {
        let text = event.to_string();
        // A JWT, a long-lived key, a presigned URL.
        for secret in ["eyJ", "AKIA", "X-Amz-Signature"] {
            assert!(!text.contains(secret), "{function}/{name} holds {secret}");
        }
    });
}
