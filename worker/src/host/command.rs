//! An operator's commands for this host, by the shell, as they stand in a unit file.

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

/// For a command that links a folder or restarts a service.
const LIMIT: Duration = Duration::from_mins(2);

/// Runs a command with these environment variables; whether it went well.
pub(crate) async fn run(command: &str, environment: BTreeMap<&str, &str>) -> bool {
    match timeout(LIMIT, shell(command).envs(environment).status()).await {
        Ok(Ok(status)) if status.success() => return true,
        Ok(Ok(status)) => tracing::error!(%status, "a command of this host failed"),
        Ok(Err(error)) => tracing::error!(%error, "a command of this host could not be run"),
        Err(_) => tracing::error!("a command of this host takes too long"),
    }
    false
}

pub(super) fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).stdin(Stdio::null()).kill_on_drop(true);
    shell
}
