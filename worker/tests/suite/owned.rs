//! A machine of ours, as far as its folders go.

use std::{path::PathBuf, time::Duration};

use crate::bench::Setup;

/// A folder for the worker to own, as a machine of ours has it after its boot, with something in each of ComfyUI's.
pub(crate) struct Owned(tempfile::TempDir);

impl Owned {
    pub(crate) fn new() -> Self {
        let owned = Self(tempfile::tempdir().unwrap());
        owned.litter();
        std::fs::create_dir_all(owned.at("models/cache")).unwrap();
        owned
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub(crate) fn folders(&self) -> [PathBuf; 3] {
        ["input", "output", "temp"].map(|name| self.at("comfyui").join(name))
    }

    pub(crate) fn litter(&self) {
        for folder in self.folders() {
            std::fs::create_dir_all(folder.join("left/deep")).unwrap();
        }
    }

    /// In how many folders something is left.
    pub(crate) fn left(&self) -> usize {
        self.folders()
            .iter()
            .filter(|folder| folder.join("left").exists())
            .count()
    }

    pub(crate) fn shows(&self) -> [bool; 2] {
        ["red", "blue"].map(|team| self.at("models/view/checkpoints/atelier").join(team).exists())
    }

    pub(crate) fn setup(&self) -> Setup {
        let mut setup = Setup {
            storage: Some(self.0.path().to_owned()),
            ..Setup::default()
        };
        setup.behaviour.ready_rhythm = Duration::from_millis(50);
        setup
    }
}
