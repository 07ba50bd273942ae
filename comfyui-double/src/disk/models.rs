//! The model files that the double claims to have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The folders that `/models` lists (ComfyUI 0.3.75).
pub(crate) const FOLDERS: [&str; 21] = [
    "checkpoints",
    "configs",
    "loras",
    "vae",
    "text_encoders",
    "diffusion_models",
    "clip_vision",
    "style_models",
    "embeddings",
    "diffusers",
    "vae_approx",
    "controlnet",
    "gligen",
    "upscale_models",
    "latent_upscale_models",
    "custom_nodes",
    "hypernetworks",
    "photomaker",
    "classifiers",
    "model_patches",
    "audio_encoders",
];

/// File names by folder (`checkpoints`, `loras` ...), and where else names may come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Models {
    any: bool,
    root: Option<PathBuf>,
    named: BTreeMap<String, BTreeSet<String>>,
}

impl Models {
    pub(crate) fn add(&mut self, folder: &str, name: &str) {
        self.named.entry(folder.to_owned()).or_default().insert(name.to_owned());
    }

    pub(crate) fn remove(&mut self, folder: &str, name: &str) {
        if let Some(names) = self.named.get_mut(folder) {
            names.remove(name);
        }
    }

    pub(crate) fn accept_any(&mut self) {
        self.any = true;
    }

    pub(crate) fn look_in(&mut self, root: PathBuf) {
        self.root = Some(root);
    }

    /// The names in a folder, sorted; files are looked for anew each time, as ComfyUI sees new files without a restart.
    pub(crate) fn list(&self, folder: &str) -> Vec<String> {
        let mut names = self.named.get(folder).cloned().unwrap_or_default();
        if folder == "vae" {
            names.insert("pixel_space".to_owned());
        }
        if let Some(root) = &self.root {
            collect(&root.join(folder), "", &mut names);
        }
        names.into_iter().collect()
    }

    pub(crate) fn has(&self, folder: &str, name: &str) -> bool {
        // What a worker is to bring must be there, where it can be.
        let is_brought = self.root.is_some() && name.starts_with("atelier/");
        (self.any && !name.is_empty() && !is_brought) || self.list(folder).iter().any(|known| known == name)
    }
}

/// An unreadable or missing folder has no models; ComfyUI does not complain either.
fn collect(folder: &Path, prefix: &str, names: &mut BTreeSet<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        if path.is_dir() {
            collect(&path, &format!("{name}/"), names);
        } else {
            names.insert(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_has_every_file_but_lists_only_named_ones() {
        let mut models = Models::default();
        models.add("checkpoints", "a.safetensors");
        assert!(!models.has("checkpoints", "b.safetensors"));
        models.accept_any();
        assert!(models.has("checkpoints", "b.safetensors"));
        assert!(!models.has("checkpoints", ""));
        assert_eq!(models.list("checkpoints"), ["a.safetensors"]);
        assert_eq!(models.list("vae"), ["pixel_space"]);
        assert!(models.has("checkpoints", "atelier/red/b.safetensors"));
        models.look_in("nowhere".into());
        assert!(models.has("checkpoints", "b.safetensors") && !models.has("checkpoints", "atelier/red/b.safetensors"));
    }
}
