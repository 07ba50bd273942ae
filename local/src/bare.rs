//! The emulator with nothing in it, for whoever deploys by other means than this stack.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{
    emulator::{self, Emulator},
    python,
};

/// A running emulator. Drop it and it is killed.
#[derive(Debug)]
pub struct Bare {
    emulator: Emulator,
    python: PathBuf,
    _folder: tempfile::TempDir,
}

impl Bare {
    /// Starts it.
    pub async fn start() -> Result<Self> {
        let checkout = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let requirements = checkout.join("local/emulator/requirements.txt");
        let python = python::environment(&checkout.join(".atelier/venv"), &requirements).await?;
        let folder = tempfile::Builder::new().prefix("atelier-bare-").tempdir()?;
        let listen = (Ipv4Addr::LOCALHOST.into(), emulator::port(None)?);
        let launcher = checkout.join("local/emulator/launcher.py");
        Ok(Self {
            emulator: Emulator::start(&python, &launcher, listen, folder.path(), false).await?,
            python,
            _folder: folder,
        })
    }

    /// Its address.
    pub fn endpoint(&self) -> &str {
        &self.emulator.calls.endpoint
    }

    /// A Python that has AWS's client.
    pub fn python(&self) -> &Path {
        &self.python
    }
}
