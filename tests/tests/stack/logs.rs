//! What the functions and workers have written of the whole run.

use std::{fs, path::Path};

use anyhow::{Result, ensure};

/// What a token, a presigned URL and a private key look like.
const SECRETS: [&str; 4] = ["eyJ", "X-Amz-Signature", "X-Amz-Security-Token", "PRIVATE KEY"];

/// What a function writes that lacks a right, of which nobody else may hear.
const REFUSED: &str = "AWS refuses a call";

/// Refuses logs in which a secret is, or a call that AWS refused, and logs in which nothing is.
pub(crate) fn are_clean(folder: &Path) -> Result<()> {
    let mut lines = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|it| it != "log") {
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        for line in text.lines() {
            lines += 1;
            let secret = SECRETS.iter().find(|secret| line.contains(**secret));
            // The line is not shown: CI's own log is one too.
            ensure!(secret.is_none(), "{} has a line with {secret:?}", path.display());
            ensure!(!line.contains(REFUSED), "{}: {line}", path.display());
        }
    }
    ensure!(lines > 0, "there are no logs in {}", folder.display());
    Ok(())
}
