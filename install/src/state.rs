//! What is kept beside `outputs.json`, because AWS does not know it.

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The folder of an installation: `outputs.json`, `signing-key.pem`, `deploy.json`, and the template before the last
/// upgrade.
#[derive(Debug, Clone)]
pub struct Folder(pub PathBuf);

/// `deploy.json`. Losing it costs a deployment that finds nothing to change, another invitation, and the way back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The release whose functions are deployed.
    pub deployed: Option<String>,
    /// Whether the first invitation has been shown.
    pub invited: bool,
    /// What was deployed before.
    pub before: Option<Before>,
}

/// What `ops upgrade --back` goes back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// The release.
    pub version: String,
    /// The stack's parameters, its machine image among them.
    pub parameters: BTreeMap<String, String>,
}

impl Folder {
    /// The stack's outputs.
    pub fn outputs(&self) -> PathBuf {
        self.0.join("outputs.json")
    }

    /// The private key that signs tokens.
    pub fn key(&self) -> PathBuf {
        self.0.join("signing-key.pem")
    }

    /// The template before the last upgrade.
    pub fn template_before(&self) -> PathBuf {
        self.0.join("template-before.yaml")
    }

    fn state_file(&self) -> PathBuf {
        self.0.join("deploy.json")
    }

    /// Reads the state; none has been written in a new folder.
    pub fn state(&self) -> Result<State> {
        let text = self.read(&self.state_file())?;
        let file = self.state_file();
        text.map_or_else(
            || Ok(State::default()),
            |text| {
                serde_json::from_str(&text).with_context(|| {
                    format!(
                        "{} is damaged; move it away, and what AWS knows is used",
                        file.display()
                    )
                })
            },
        )
    }

    /// Changes the state.
    pub fn change(&self, change: impl FnOnce(&mut State)) -> Result<()> {
        let mut state = self.state()?;
        change(&mut state);
        self.write(&self.state_file(), &serde_json::to_string_pretty(&state)?)
    }

    /// A file's text; none if there is no file.
    pub fn read(&self, file: &Path) -> Result<Option<String>> {
        match fs::read_to_string(file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", file.display())),
        }
    }

    /// Writes a file that only its owner may read, whole or not at all.
    pub fn write(&self, file: &Path, text: &str) -> Result<()> {
        let unfinished = file.with_extension("unfinished");
        let write = || {
            fs::create_dir_all(&self.0)?;
            let mut options = fs::OpenOptions::new();
            let mut to = options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&unfinished)?;
            to.write_all(text.as_bytes())?;
            to.sync_all()?;
            fs::rename(&unfinished, file)
        };
        write().with_context(|| format!("{} cannot be written", file.display()))
    }
}
