//! The Lambda bootstraps, the worker and the stand-in for ComfyUI, built with the profile that tests use.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;

/// The functions of the template.
pub(crate) const FUNCTIONS: [&str; 12] = [
    "authorize",
    "account",
    "studio",
    "generate",
    "catalog",
    "dispatch",
    "claim",
    "progress-push",
    "lifecycle",
    "archive",
    "idle-reaper",
    "forecast",
];

const WORKER: &str = "worker";
const DOUBLE: &str = "comfyui-double";

/// What was built.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    /// Folder of `<function>/bootstrap`.
    pub(crate) bootstraps: PathBuf,
    /// The worker.
    pub(crate) worker: PathBuf,
    /// The stand-in.
    pub(crate) double: PathBuf,
}

/// Builds everything in the target folder that this program is in.
pub(crate) async fn build(checkout: &Path) -> Result<Built> {
    let target = target_folder()?;
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    // What runs here, of the whole workspace, so that features are the same as in `cargo test` and nothing is built twice; but for two
    // packages: `ops`, which alone needs some of AWS's clients, and `sim`, which is optimised.
    let mut command = Command::new(cargo);
    if !std::io::stderr().is_terminal() {
        // Somebody who looks on wants to see how far it is; a log does not.
        command.arg("--quiet");
    }
    let status = command
        .args(["build", "--workspace", "--exclude", "install", "--exclude", "sim"])
        .args(FUNCTIONS.iter().chain(&[WORKER, DOUBLE]).flat_map(|it| ["--bin", it]))
        .arg("--target-dir")
        .arg(&target)
        .current_dir(checkout)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .await
        .context("cargo cannot be started")?;
    ensure!(status.success(), "the functions could not be built; see above");
    let debug = target.join("debug");
    let bootstraps = target.join("bootstraps");
    for function in FUNCTIONS {
        let folder = bootstraps.join(function);
        std::fs::create_dir_all(&folder)?;
        let (from, to) = (debug.join(function), folder.join("bootstrap"));
        if std::fs::read_link(&to).ok().as_ref() != Some(&from) {
            let _ = std::fs::remove_file(&to);
            std::os::unix::fs::symlink(&from, &to).with_context(|| format!("{} cannot be made", to.display()))?;
        }
    }
    Ok(Built {
        bootstraps,
        worker: debug.join(WORKER),
        double: debug.join(DOUBLE),
    })
}

/// Cargo's target folder. What cargo knows of rustc lies in each; the tag for backups only in one that cargo made itself.
fn target_folder() -> Result<PathBuf> {
    let program = std::env::current_exe().context("this program does not know where it is")?;
    for folder in program.ancestors() {
        if [".rustc_info.json", "CACHEDIR.TAG"]
            .iter()
            .any(|it| folder.join(it).exists())
        {
            return Ok(folder.to_owned());
        }
    }
    bail!(
        "{} is in no target folder of cargo; start it with `cargo run -p local`",
        program.display()
    )
}
