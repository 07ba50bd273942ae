//! Child processes that never outlive us.

use std::{fs::File, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use tokio::process::{Child, Command};

/// Starts a program whose output goes to a log file. It is killed when the handle is dropped; its open standard input
/// tells it that we are still there, should we be killed ourselves.
pub(crate) fn spawn(command: &mut Command, log: &Path) -> Result<Child> {
    let file = File::options().create(true).append(true).open(log);
    let file = file.with_context(|| format!("{} cannot be written", log.display()))?;
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::piped())
        .stderr(file.try_clone()?)
        .stdout(file)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{name} cannot be started"))
}

/// A program that gives way to all that does not: a machine of its own on AWS takes no time from the control plane either.
pub(crate) fn giving_way(program: &Path) -> Result<Command> {
    ensure!(
        program.is_file(),
        "{} is not there any more: start again, which builds it",
        program.display()
    );
    let mut command = Command::new("nice");
    command.args(["-n", "10"]).arg(program);
    Ok(command)
}

/// Ends a program: politely, and by force if it does not go.
pub(crate) async fn end(child: &mut Child, patience: Duration) {
    if let Some(id) = child.id() {
        let asked = Command::new("kill")
            .arg(id.to_string())
            .stderr(Stdio::null())
            .status()
            .await;
        if asked.is_ok() && tokio::time::timeout(patience, child.wait()).await.is_ok() {
            return;
        }
    }
    // Gone already, or past patience.
    let _ = child.kill().await;
}

/// The last lines of a log, for an error message.
pub(crate) fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
