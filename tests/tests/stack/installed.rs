//! The stack as whoever runs a studio holds it: its outputs in a file, and `ops`.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, process::Command};

use crate::studio::Studio;

pub(crate) struct Installed {
    folder: TempDir,
    endpoint: String,
}

impl Installed {
    pub(crate) async fn of(studio: &Studio) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        studio.stack.write_outputs(folder.path())?;
        let all = studio.stack.environments("127.0.0.1").await?;
        let endpoint = all["AccountFunction"]["AWS_ENDPOINT_URL"].as_str();
        let endpoint = endpoint.context("no endpoint")?.to_owned();
        Ok(Self { folder, endpoint })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `ops` with these arguments, and answers what it asks with this. Returns what it prints.
    pub(crate) async fn ops(&self, arguments: &[&str], answer: &str) -> Result<String> {
        let mut process = Command::new(program("ops")?)
            .args(arguments)
            .arg("--outputs")
            .arg(self.folder().join("outputs.json"))
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .envs([
                ("AWS_REGION", cloud::EMULATOR_REGION),
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "test"),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = process.stdin.take().context("no stdin")?;
        // Whoever asks nothing may have ended by now.
        let _ = stdin.write_all(answer.as_bytes()).await;
        drop(stdin);
        let output = process.wait_with_output().await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// A program that lies beside the functions'.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).context("the test lies nowhere")?;
    Ok(folder.join(name))
}
