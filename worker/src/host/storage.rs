//! The folders that the worker owns on a machine of ours: the models, of which it shows ComfyUI what a team may see, and those
//! that ComfyUI reads and writes pictures in.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use model::{CatalogEntry, TeamId};

/// Below one folder, on one mount: `models/cache`, laid out like ComfyUI's folder of models, `models/view`, which is what
/// ComfyUI sees of it, and ComfyUI's own `comfyui/input`, `output` and `temp`.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    root: PathBuf,
}

/// ComfyUI's folders of model files, by kind.
pub(crate) const FOLDERS: [&str; 11] = [
    "checkpoints",
    "clip_vision",
    "controlnet",
    "diffusion_models",
    "embeddings",
    "ipadapter",
    "loras",
    "style_models",
    "text_encoders",
    "upscale_models",
    "vae",
];
/// Below each, the files of the studio's store, by team.
pub(crate) const STORE: &str = "atelier";

impl Storage {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where the worker keeps model files.
    pub(crate) fn models(&self) -> PathBuf {
        self.root.join("models/cache")
    }

    /// Deletes what ComfyUI was given and has made.
    pub(crate) fn empty(&self) -> io::Result<()> {
        for folder in ["input", "output", "temp"] {
            for entry in fs::read_dir(self.root.join("comfyui").join(folder))? {
                remove(&entry?.path())?;
            }
        }
        Ok(())
    }

    /// Whether ComfyUI is shown anything since the machine has started.
    pub(crate) fn is_open(&self) -> bool {
        self.shown().exists()
    }

    /// Whether ComfyUI is shown what some team may see.
    pub(crate) fn shows_a_team(&self) -> bool {
        let mut shown = fs::read_dir(self.shown()).into_iter().flatten().flatten();
        shown.any(|team| team.file_name() != CatalogEntry::SHARED)
    }

    /// Whether ComfyUI is shown what this team may see.
    pub(crate) fn shows(&self, team: &TeamId) -> bool {
        self.shown().join(team.as_str()).is_symlink()
    }

    /// The teams that are shown, in one folder as in all.
    fn shown(&self) -> PathBuf {
        self.root.join("models/view").join(FOLDERS[0]).join(STORE)
    }

    /// Shows ComfyUI what everybody may see of the models, and what is this team's.
    ///
    /// Links to the teams' folders show what is fetched later, and no more what is deleted; a link to each file would have to be
    /// made and removed with it.
    pub(crate) fn show(&self, team: Option<&TeamId>) -> io::Result<()> {
        let [cache, view, new, old] =
            ["cache", "view", "view.new", "view.old"].map(|name| self.root.join("models").join(name));
        remove(&new)?;
        fs::create_dir_all(&new)?;
        // Relative, since ComfyUI has another name for the folder that both lie in.
        link_all(&cache, &new, Path::new("../cache"), &FOLDERS)?;
        let own = team.map(TeamId::as_str).filter(|team| *team != CatalogEntry::SHARED);
        let teams = [Some(CatalogEntry::SHARED), own];
        for folder in FOLDERS {
            let from = cache.join(folder);
            fs::create_dir_all(new.join(folder).join(STORE))?;
            fs::create_dir_all(from.join(STORE))?;
            link_all(
                &from,
                &new.join(folder),
                &Path::new("../../cache").join(folder),
                &[STORE],
            )?;
            for team in teams.into_iter().flatten() {
                let files = Path::new(folder).join(STORE).join(team);
                fs::create_dir_all(cache.join(&files))?;
                symlink(Path::new("../../../cache").join(&files), new.join(&files))?;
            }
        }
        remove(&old)?;
        // Two steps, between which there is no view: ComfyUI has nothing to do meanwhile.
        gone(fs::rename(&view, &old))?;
        fs::rename(&new, &view)?;
        remove(&old)
    }
}

/// Links each entry of a folder but some into another, by `name/entry`.
fn link_all(from: &Path, to: &Path, name: &Path, but: &[&str]) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?.file_name();
        if !but.iter().any(|it| entry == *it) {
            symlink(name.join(&entry), to.join(&entry))?;
        }
    }
    Ok(())
}

/// Removes whatever is there by this name, and follows no link.
fn remove(path: &Path) -> io::Result<()> {
    gone(match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    })
}

/// What somebody else was faster with, or was never there, is well.
pub(crate) fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> (tempfile::TempDir, Storage) {
        let root = tempfile::tempdir().unwrap();
        for folder in [
            "models/cache",
            "models/view",
            "comfyui/input",
            "comfyui/output",
            "comfyui/temp",
        ] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let storage = Storage::new(root.path().to_owned());
        (root, storage)
    }

    fn put(root: &Path, file: &str) {
        let file = root.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "x").unwrap();
    }

    #[test]
    fn a_team_sees_what_is_everybodys_and_its_own() {
        let (root, storage) = made();
        let root = root.path();
        let files = [
            "checkpoints/a.safetensors",
            "other/studio.safetensors",
            "checkpoints/atelier/shared/0.safetensors",
            "loras/atelier/red/1.safetensors",
            "vae/atelier/red/1.safetensors",
            "vae/atelier/blue/2.safetensors",
        ];
        for file in files {
            put(&root.join("models/cache"), file);
        }
        let sees = |file: &str| root.join("models/view").join(file).exists();
        let seen = || files.map(sees);
        assert!(!storage.is_open());
        storage.show(None).unwrap();
        assert!(storage.is_open() && !storage.shows_a_team());
        assert_eq!(seen(), [true, true, true, false, false, false]);
        storage.show(Some(&TeamId::new("red"))).unwrap();
        assert!(storage.shows_a_team());
        assert_eq!(seen(), [true, true, true, true, true, false]);
        assert_eq!(
            ["red", "blue"].map(|team| storage.shows(&TeamId::new(team))),
            [true, false]
        );
        // What is fetched later is seen at once.
        put(root, "models/cache/upscale_models/atelier/red/3.safetensors");
        assert!(sees("upscale_models/atelier/red/3.safetensors"));
        // A worker that was ended in the middle has left the one that it was making, and no view.
        put(root, "models/view.new/x");
        fs::rename(root.join("models/view"), root.join("models/view.old")).unwrap();
        storage.show(Some(&TeamId::new("blue"))).unwrap();
        assert_eq!(seen(), [true, true, true, false, false, true]);
        assert_eq!(fs::read_dir(root.join("models")).unwrap().count(), 2);
        storage.show(Some(&TeamId::new(CatalogEntry::SHARED))).unwrap();
        assert_eq!(seen(), [true, true, true, false, false, false]);
    }

    #[test]
    fn emptying_follows_no_link_out() {
        let (root, storage) = made();
        let root = root.path();
        put(root, "comfyui/input/a/b.png");
        put(root, "comfyui/output/tasks/1/out.png");
        put(root, "models/cache/kept");
        symlink(root.join("models"), root.join("comfyui/temp/link")).unwrap();
        symlink("nowhere", root.join("comfyui/temp/dangling")).unwrap();
        storage.empty().unwrap();
        for folder in ["input", "output", "temp"] {
            assert_eq!(fs::read_dir(root.join("comfyui").join(folder)).unwrap().count(), 0);
        }
        assert!(root.join("models/cache/kept").exists());
        fs::remove_dir(root.join("comfyui/temp")).unwrap();
        assert!(storage.empty().is_err(), "nothing is taken for empty that is not there");
    }
}
