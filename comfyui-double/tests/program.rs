//! The program: it says where it listens, and ends when it should.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]

mod common;

use std::process::Stdio;

use common::{get, http};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

async fn start(arguments: &[&str]) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_comfyui-double"))
        .args(["--port", "0", "--any-model", "--exit-with-parent"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = lines.next_line().await.unwrap().unwrap();
    (child, url)
}

#[tokio::test]
async fn ends_with_its_parent() {
    let (mut child, url) = start(&["--like", "v0_33", "--step-delay", "20ms"]).await;
    assert_eq!(get(format!("{url}/api/jobs")).await["jobs"], json!([]));
    drop(child.stdin.take());
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn can_be_made_to_crash() {
    let (mut child, url) = start(&[]).await;
    let reply = http().post(format!("{url}/double/exit")).send().await;
    assert!(reply.is_err(), "no reply comes from a dead process");
    assert_eq!(child.wait().await.unwrap().code(), Some(137));
}
