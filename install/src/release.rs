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
use sha2::{Digest, Sha256};

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
    /// SHA-256 of the template and the functions' code, hex: a release that was made again under its version may have other code.
    pub code: String,
    /// The worker's program.
    pub worker: PathBuf,
    /// Packer's folder.
    pub image: PathBuf,
}

/// What SAM deploys of a release, as one number.
fn code(folder: &Path) -> std::io::Result<String> {
    let mut files = vec![folder.join("template.yaml")];
    if let Ok(functions) = fs::read_dir(folder.join("functions")) {
        for it in functions {
            files.push(it?.path());
        }
    }
    files.sort();
    let mut all = Sha256::new();
    for file in files.iter().filter(|it| it.is_file()) {
        all.update(Sha256::digest(fs::read(file)?));
    }
    Ok(format!("{:x}", all.finalize()))
}

impl Release {
    /// Reads the folder, and looks whether all of it is there.
    pub fn read(folder: &Path) -> Result<Self> {
        let file = folder.join("release.json");
        let text = fs::read_to_string(&file)
            .with_context(|| format!("{} cannot be read; is {} a release?", file.display(), folder.display()))?;
        let manifest = serde_json::from_str(&text).with_context(|| format!("{} is damaged", file.display()))?;
        let code = code(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
        let release = Self {
            manifest,
            code,
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
