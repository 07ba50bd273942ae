//! A release as a folder: what a studio deploys without building anything.
//!
//! | there | what |
//! |---|---|
//! | `release.json` | [`Manifest`] |
//! | `template.yaml` | the template, whose functions' code is beside it, one zip each |
//! | `worker` | the worker's program for the machine image |
//! | `image/` | what Packer makes the machine image of |

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{image::Of, program};

/// What builds a release, in a checkout.
const BUILD: &str = ".ci/release";

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
    /// SHA-256 of that, hex.
    pub worker_sum: String,
    /// Packer's folder.
    pub image: PathBuf,
}

/// A checkout of the project, of which a release can be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    root: PathBuf,
    /// Version of the release that it gives.
    pub version: String,
}

impl Checkout {
    /// The checkout that the folder lies in; none if it lies in none.
    pub fn around(folder: &Path) -> Result<Option<Self>> {
        // Not an archive of the source: the build asks Git what belongs to it.
        let is_one = |it: &&Path| it.join(BUILD).is_file() && it.join(".git").exists();
        let Some(root) = folder.ancestors().find(is_one) else {
            return Ok(None);
        };
        let file = root.join("Cargo.toml");
        let text = fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let package = text.split("[workspace.package]").nth(1).unwrap_or_default();
        let version = package.lines().find_map(|it| it.strip_prefix("version = \""));
        let version = version.and_then(|it| it.split('"').next());
        Ok(Some(Self {
            root: root.to_owned(),
            version: version
                .with_context(|| format!("{} says no version", file.display()))?
                .to_owned(),
        }))
    }

    /// Builds the release, in a folder of the checkout's own that Git ignores.
    pub async fn build(&self, region: &str) -> Result<Release> {
        let folder = self.root.join(".atelier/release");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
        }
        let arguments = [folder.to_string_lossy().into_owned()];
        let program = self.root.join(BUILD);
        program::run(&program.to_string_lossy(), &arguments, &self.root, region).await?;
        Release::read(&folder)
    }
}

/// What SAM deploys of a release, as one number.
fn code(folder: &Path) -> io::Result<String> {
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

/// SHA-256 of a file, hex.
fn sha256(file: &Path) -> Result<String> {
    let mut sum = Sha256::new();
    File::open(file)
        .and_then(|mut it| io::copy(&mut it, &mut sum))
        .with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(format!("{:x}", sum.finalize()))
}

impl Release {
    /// What its machine image is to be of.
    pub fn of_image(&self) -> Of<'_> {
        Of {
            version: &self.manifest.version,
            worker: Some(&self.worker_sum),
        }
    }

    /// Reads the folder, and looks whether all of it is there.
    pub fn read(folder: &Path) -> Result<Self> {
        let file = folder.join("release.json");
        let text = fs::read_to_string(&file)
            .with_context(|| format!("{} cannot be read; is {} a release?", file.display(), folder.display()))?;
        let manifest = serde_json::from_str(&text).with_context(|| format!("{} is damaged", file.display()))?;
        let code = code(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
        let (template, worker, image) = (
            folder.join("template.yaml"),
            folder.join("worker"),
            folder.join("image"),
        );
        for part in [&template, &worker, &image.join("atelier.pkr.hcl")] {
            ensure!(part.exists(), "{} is missing; get the release again", part.display());
        }
        Ok(Self {
            manifest,
            code,
            worker_sum: sha256(&worker)?,
            template,
            worker,
            image,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_built_of_the_checkout_around() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the checkout");
        let found = Checkout::around(&root.join("install/src")).expect("it can be read");
        let wanted = Checkout {
            root: root.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        assert_eq!(found, Some(wanted));
        assert_eq!(Checkout::around(Path::new("/")).expect("it can be read"), None);
    }

    #[test]
    fn a_files_sum_is_that_of_sha256sum() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("abc");
        fs::write(&file, "abc").expect("it is written");
        assert_eq!(
            sha256(&file).expect("it is read"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
