//! Programs that do what AWS's calls do not: SAM and Packer.

use std::{env, path::Path, process::Stdio};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

/// Those of these programs that are on the PATH.
pub fn on_path(names: &[&'static str]) -> std::collections::BTreeSet<&'static str> {
    let path = env::var_os("PATH").unwrap_or_default();
    let is_there = |name: &&&str| env::split_paths(&path).any(|folder| folder.join(name).is_file());
    names.iter().filter(is_there).copied().collect()
}

/// Runs a program in a folder; whoever waits sees what it writes.
pub async fn run(name: &str, arguments: &[String], folder: &Path, region: &str) -> Result<()> {
    let mut command = Command::new(name);
    command
        .args(arguments)
        .current_dir(folder)
        .env("AWS_REGION", region)
        .env("AWS_DEFAULT_REGION", region)
        .env("SAM_CLI_TELEMETRY", "0")
        .stdin(Stdio::null())
        // What we print ourselves is for whoever reads it, or a program; theirs is how far they are.
        .stdout(Stdio::from(std::io::stderr()))
        .kill_on_drop(true);
    let status = command
        .status()
        .await
        .with_context(|| format!("{name} cannot be started"))?;
    ensure!(
        status.success(),
        "`{name} {}` failed with {status}; what it says is above",
        arguments.first().map_or("", String::as_str)
    );
    Ok(())
}
