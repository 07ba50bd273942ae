//! What is kept beside `outputs.json`, because AWS does not know it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use model::Millis;
use serde::{Deserialize, Serialize};

/// Where an installation is. No two have the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The account's number.
    pub account: String,
    /// The region.
    pub region: String,
    /// The stack's name.
    pub stack: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stack {} in {} of account {}", self.stack, self.region, self.account)
    }
}

/// The folder of an installation: `outputs.json`, `signing-key.pem`, `deploy.json`, and the template before the last
/// upgrade.
#[derive(Debug, Clone)]
pub struct Folder {
    /// Where it is on this machine.
    pub path: PathBuf,
    /// The installation that it is to be of.
    pub place: Place,
}

/// `deploy.json`. Losing it costs a deployment that finds nothing to change, another invitation, and the way back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The installation that the folder is of.
    pub place: Option<Place>,
    /// The release whose functions are deployed.
    pub deployed: Option<String>,
    /// Those functions, if they were deployed from here.
    pub functions: Option<Functions>,
    /// Whether the first invitation has been shown.
    pub invited: bool,
    /// What was deployed before.
    pub before: Option<Before>,
    /// The machine images that were there when another was asked for that is not deployed yet.
    pub images_before: Option<BTreeSet<String>>,
}

/// What was deployed from here. It is not what is deployed if the stack was changed since, from another folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Functions {
    /// Sum of their code, as [`crate::release::Release`] has it.
    pub code: String,
    /// When the stack was changed to it, as it says.
    pub changed: Option<Millis>,
}

/// What `ops upgrade --back` goes back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// The release.
    pub version: String,
    /// The stack's parameters, its machine image among them.
    pub parameters: BTreeMap<String, String>,
}

impl State {
    /// The code that is deployed, if that is known of a stack that was changed last then.
    pub fn code(&self, changed: Option<Millis>) -> Option<&str> {
        let functions = self.functions.as_ref()?;
        (changed.is_some() && functions.changed == changed).then_some(functions.code.as_str())
    }

    /// A release's functions were deployed.
    pub fn deployed(&mut self, version: &str, code: &str, changed: Option<Millis>) {
        self.deployed = Some(version.to_owned());
        self.functions = Some(Functions {
            code: code.to_owned(),
            changed,
        });
    }
}

impl Folder {
    /// The stack's outputs.
    pub fn outputs(&self) -> PathBuf {
        self.path.join("outputs.json")
    }

    /// The private key that signs tokens.
    pub fn key(&self) -> PathBuf {
        self.path.join("signing-key.pem")
    }

    /// The template before the last upgrade.
    pub fn template_before(&self) -> PathBuf {
        self.path.join("template-before.yaml")
    }

    fn state_file(&self) -> PathBuf {
        self.path.join("deploy.json")
    }

    /// Reads the state; none has been written in a new folder. Fails if the folder is of another installation.
    pub fn state(&self) -> Result<State> {
        let file = self.state_file();
        let Some(text) = self.read(&file)? else {
            return Ok(State::default());
        };
        let state: State = serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is damaged; move it away, and what AWS knows is used",
                file.display()
            )
        })?;
        if let Some(other) = &state.place {
            ensure!(
                *other == self.place,
                "the folder {} is of {other}; give --folder with another one for {}. Nothing was changed",
                self.path.display(),
                self.place
            );
        }
        Ok(state)
    }

    /// Changes the state. From now on the folder is of this installation.
    pub fn change(&self, change: impl FnOnce(&mut State)) -> Result<()> {
        let mut state = self.state()?;
        change(&mut state);
        state.place = Some(self.place.clone());
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
            fs::create_dir_all(&self.path)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_deployed_from_elsewhere_since_is_not_known() {
        let mut state = State::default();
        let at = |it| Some(Millis(it));
        assert_eq!(state.code(at(1)), None);
        state.deployed("1", "a", at(1));
        assert_eq!((state.deployed.as_deref(), state.code(at(1))), (Some("1"), Some("a")));
        assert_eq!(state.code(at(2)), None, "changed from another folder");
        assert_eq!(state.code(None), None);
        state.deployed("1", "a", None);
        assert_eq!(state.code(None), None, "nobody knows when");
    }
}
