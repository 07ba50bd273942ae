//! The command line as an operator meets it: its help, and what it says when something is missing.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::process::{Command, Output};

fn ops(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ops"));
    // Without it the SDK asks the metadata service of an instance, which is not there.
    command.env_clear().env("AWS_EC2_METADATA_DISABLED", "true");
    command
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn help(arguments: &[&str]) -> String {
    let output = ops(arguments, &[]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a failed command says.
fn problem(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = ops(arguments, environment);
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    text.strip_prefix("ops: ").expect("a problem").to_owned()
}

#[test]
fn every_command_explains_itself() {
    for command in [
        "",
        "audit",
        "backup",
        "deploy",
        "doctor",
        "restore",
        "storage",
        "teardown",
        "upgrade",
        "model",
        "model add",
        "model list",
        "model pin",
        "model delete",
        "keys",
        "seed",
        "invite",
        "pool",
        "pool list",
        "pool show",
        "pool set",
        "pool breaker",
        "pool lift",
        "task",
        "task show",
        "task list",
        "task cancel",
        "task requeue",
        "task fail",
        "team",
        "team keep",
        "team show",
        "usage",
        "user",
        "user add",
        "user set",
        "user show",
        "user list",
        "user revoke",
        "user remove",
        "user export",
        "user erase",
    ] {
        let mut arguments: Vec<_> = command.split_whitespace().collect();
        arguments.push("--help");
        let name = if command.is_empty() {
            "ops".to_owned()
        } else {
            command.replace(' ', "-")
        };
        insta::assert_snapshot!(format!("help-{name}"), help(&arguments));
    }
}

#[test]
fn what_is_missing_is_said_with_what_to_do() {
    let folder = std::env::temp_dir().join(format!("atelier-ops-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let tables = [
        "Tasks",
        "TaskBodies",
        "Fleet",
        "Sessions",
        "Catalog",
        "Accounts",
        "Pools",
        "History",
    ];
    let good: Vec<_> = tables.iter().map(|table| format!("\"{table}Table\":\"x\"")).collect();
    let good = file(
        "good.json",
        &format!("{{{},\"SocketUrl\":\"wss://x/live\"}}", good.join(",")),
    );
    let region = [("AWS_REGION", "us-east-1")];
    let said = |outputs: &str, environment: &[(&str, &str)]| {
        problem(&["user", "show", "mara", "--outputs", outputs], environment)
    };
    for (said, expected) in [
        (said("/nowhere.json", &[]), "sam list stack-outputs"),
        (said(&file("bad.json", "no json"), &[]), "holds no stack outputs"),
        (
            said(&file("other.json", r#"{"TasksTable":"x"}"#), &[]),
            "the stack has no output",
        ),
        (said(&good, &[]), "AWS_REGION"),
        (said(&good, &region), "there are no AWS credentials; set AWS_PROFILE"),
    ] {
        assert!(said.contains(expected), "{said}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn an_id_that_cannot_be_one_is_refused() {
    for id in ["", "a/b", "two words", "a#b"] {
        let output = ops(&["user", "add", id], &[]);
        assert_eq!(output.status.code(), Some(2), "{id}: {output:?}");
    }
}
