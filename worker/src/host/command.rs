//! An operator's commands for this host, by the shell, as they stand in a unit file.

use std::{process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

/// For a command that restarts a service.
const LIMIT: Duration = Duration::from_mins(2);

/// Runs a command; how it went is logged.
pub(crate) async fn run(command: &str) {
    match timeout(LIMIT, shell(command).status()).await {
        Ok(Ok(status)) if status.success() => {}
        Ok(Ok(status)) => tracing::error!(%status, "a command of this host failed"),
        Ok(Err(error)) => tracing::error!(%error, "a command of this host could not be run"),
        Err(_) => tracing::error!("a command of this host takes too long"),
    }
}

pub(super) fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).stdin(Stdio::null()).kill_on_drop(true);
    shell
}
