//! The emulator's Python packages, in a folder of the checkout.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// The Python of a virtual environment that has everything in `requirements`; made and filled if need be.
pub(crate) async fn environment(home: &Path, requirements: &Path) -> Result<PathBuf> {
    let python = home.join("bin/python");
    let stamp = home.join("requirements.txt");
    let wanted =
        std::fs::read_to_string(requirements).with_context(|| format!("{} cannot be read", requirements.display()))?;
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && python.exists() {
        return Ok(python);
    }
    // Two processes may come here at once: each fills a folder of its own, and the first to finish counts.
    let fresh = home.with_extension(std::process::id().to_string());
    let parent = home.parent().context("the environment needs a folder to be in")?;
    std::fs::create_dir_all(parent)?;
    run(Command::new("python3").args(["-m", "venv"]).arg(&fresh))
        .await
        .context("Python 3 with its venv module is needed for the emulator of AWS; install python3 and python3-venv")?;
    let pip = fresh.join("bin/python");
    run(Command::new(&pip)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(requirements))
    .await
    .context("the emulator's Python packages could not be installed; is the package index reachable?")?;
    std::fs::write(fresh.join("requirements.txt"), wanted)?;
    if python.exists() {
        std::fs::remove_dir_all(home)?;
    }
    std::fs::rename(&fresh, home)?;
    Ok(python)
}

async fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().await?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{}",
            text.lines()
                .rev()
                .find(|line| !line.trim().is_empty())
                .unwrap_or("it failed without a word")
        );
    }
    Ok(())
}
