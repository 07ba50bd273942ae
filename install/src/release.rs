//! A release as a folder: what a studio deploys without building anything.
//!
//! | there | what |
//! |---|---|
//! | `release.json` | [`Manifest`] |
//! | `template.yaml` | the template, whose functions' code is beside it, one zip each |
//! | `worker` | the worker's program for the machine image |
//! | `image/` | what Packer makes the machine image of |

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// What a release says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its version, which its machine image is tagged with.
    pub version: String,
    /// The version that it follows: an upgrade goes release by release. None for the first.
    #[serde(default)]
    pub follows: Option<String>,
    /// What its functions are built for: the template's parameter `Architecture`.
    pub architecture: String,
}

/// A release on this machine.
#[derive(Debug, Clone)]
pub struct Release {
    /// What it says of itself.
    pub manifest: Manifest,
    /// The template.
    pub template: PathBuf,
    /// The worker's program.
    pub worker: PathBuf,
    /// Packer's folder.
    pub image: PathBuf,
}

impl Release {
    /// Reads the folder, and looks whether all of it is there.
    pub fn read(folder: &Path) -> Result<Self> {
        let file = folder.join("release.json");
        let text = fs::read_to_string(&file)
            .with_context(|| format!("{} cannot be read; is {} a release?", file.display(), folder.display()))?;
        let manifest = serde_json::from_str(&text).with_context(|| format!("{} is damaged", file.display()))?;
        let release = Self {
            manifest,
            template: folder.join("template.yaml"),
            worker: folder.join("worker"),
            image: folder.join("image"),
        };
        for part in [
            &release.template,
            &release.worker,
            &release.image.join("atelier.pkr.hcl"),
        ] {
            ensure!(part.exists(), "{} is missing; get the release again", part.display());
        }
        Ok(release)
    }
}
