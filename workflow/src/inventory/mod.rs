//! What a team may paint with.

mod files;
mod nodes;

pub use files::Files;
pub use nodes::{OPTIONAL_NODES, OptionalNode, optional_node};

use crate::{refusal::Refusal, wire::Arch};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The models of one team, and what its render machines can do with them. Serialised, [`Inventory::offered`] is the reply to
/// the plugin's `plugin/resources`.
///
/// A graph names a file only as it is written here, never as it was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Inventory {
    /// By the name that styles use.
    pub checkpoints: BTreeMap<String, Checkpoint>,
    /// VAEs.
    pub vae: Files,
    /// LoRAs.
    pub loras: Files,
    /// Upscale models.
    pub upscalers: Files,
    /// Files by `<kind>-<identifier>-<arch>`, such as "upscaler-default-all".
    pub resources: BTreeMap<String, String>,
    /// LoRA files that the painter has uploaded, by the base64 of their SHA-256.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub uploads: BTreeMap<String, String>,
    /// Files that are not offered any more; who names them still gets them.
    #[serde(skip)]
    pub deprecated: BTreeSet<String>,
    /// The classes among [`crate::OPTIONAL_NODES`] that the team's render machines have.
    #[serde(skip)]
    pub nodes: BTreeSet<String>,
}

/// A checkpoint's file and how to load it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Path below ComfyUI's model folder.
    #[serde(rename = "filename")]
    pub file: String,
    /// What the file is.
    pub arch: Arch,
    /// What the file holds.
    #[serde(default, skip_serializing_if = "Format::is_checkpoint")]
    pub format: Format,
}

impl Checkpoint {
    /// Where a file of the studio's store lies is nobody's business.
    pub(crate) fn named(&self, name: &str) -> Self {
        let mut named = self.clone();
        if self.file.starts_with(STORED) {
            name.clone_into(&mut named.file);
        }
        named
    }
}

/// What the files of the studio's store begin with, below ComfyUI's folder of their kind.
pub const STORED: &str = "atelier/";

/// What a checkpoint's file holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Diffusion model, text encoders and VAE.
    #[default]
    Checkpoint,
    /// The diffusion model alone; the rest are resources.
    Diffusion,
}

impl Format {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    fn is_checkpoint(&self) -> bool {
        *self == Self::Checkpoint
    }
}

impl Inventory {
    /// The checkpoint of this name; neither case nor the direction of slashes matters.
    pub fn checkpoint(&self, name: &str) -> Option<&Checkpoint> {
        self.checkpoints.get(name).or_else(|| {
            let mut entries = self.checkpoints.iter();
            entries
                .find(|(key, _)| alike(key, name))
                .map(|(_, checkpoint)| checkpoint)
        })
    }

    /// The VAE file of this name, compared like a checkpoint's.
    pub fn vae(&self, name: &str) -> Option<&str> {
        self.vae.find(name)
    }

    /// The LoRA file of this name, compared like a checkpoint's.
    pub fn lora(&self, name: &str) -> Option<&str> {
        self.loras.find(name)
    }

    /// The upscale model of this file name, compared like a checkpoint's.
    pub fn upscale_model(&self, name: &str) -> Option<&str> {
        self.upscalers.find(name)
    }

    /// The file of a resource for this architecture, or for one that can stand in for it.
    pub fn resource(&self, kind: &str, identifier: &str, arch: &Arch) -> Option<&str> {
        let stand_in = (*arch == Arch::IlluV).then(|| Arch::Illu.to_string());
        [Some(arch.to_string()), stand_in, Some("all".to_owned())]
            .into_iter()
            .flatten()
            .find_map(|arch| self.resources.get(&format!("{kind}-{identifier}-{arch}")))
            .map(String::as_str)
    }

    /// Refuses `what` if the render machines lack a node class that it needs.
    pub(crate) fn need_nodes(&self, what: &str, classes: &[&str]) -> Result<(), Refusal> {
        let Some(class) = classes.iter().find(|class| !self.nodes.contains(**class)) else {
            return Ok(());
        };
        let pack = optional_node(class).map_or(*class, |node| node.pack);
        Err(Refusal::new(format!(
            "{what} needs the node pack {pack}, which the render machines have not reported. Ask your studio to add it."
        )))
    }

    /// The upscale model with this identifier ("default", "fast_2x"), or else any: size is made exact afterwards.
    pub fn upscaler(&self, identifier: &str) -> Option<&str> {
        const BEST_FIRST: [&str; 6] = ["default", "fast_4x", "fast_3x", "fast_2x", "quality", "sharp"];
        std::iter::once(identifier)
            .chain(BEST_FIRST)
            .find_map(|identifier| self.resources.get(&format!("upscaler-{identifier}-all")))
            .map(String::as_str)
            .or_else(|| self.upscalers.iter().next().map(|(_, file)| file))
    }

    /// Whether this upscale model is one of those that give up some quality for speed.
    pub(crate) fn is_fast_upscaler(&self, file: &str) -> bool {
        let mut fast = self.resources.iter().filter(|(id, _)| id.starts_with("upscaler-fast_"));
        fast.any(|(_, fast)| fast == file)
    }
}

/// Styles are shared between Windows and other systems, so their names differ in case and slashes.
fn alike(a: &str, b: &str) -> bool {
    let plain = |c: char| if c == '\\' { '/' } else { c };
    a.chars()
        .map(plain)
        .flat_map(char::to_lowercase)
        .eq(b.chars().map(plain).flat_map(char::to_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory() -> Inventory {
        serde_json::from_str(
            r#"{
                "checkpoints": {
                    "sd/Dream.safetensors": {"filename": "sd/Dream.safetensors", "arch": "sd15"},
                    "SD/DREAM.safetensors": {"filename": "other", "arch": "sdxl", "format": "diffusion"}
                },
                "loras": ["ink.safetensors"],
                "upscalers": ["any.pth"],
                "resources": {"vae-default-illu": "illu.vae", "vae-default-all": "all.vae", "upscaler-fast_2x-all": "2x.pth"}
            }"#,
        )
        .unwrap()
    }

    #[test]
    fn names_match_without_case_and_slash_but_exactly_first() {
        let inventory = inventory();
        assert_eq!(inventory.checkpoint("SD/DREAM.safetensors").unwrap().file, "other");
        assert_eq!(
            inventory.checkpoint("sd/Dream.safetensors").unwrap().file,
            "sd/Dream.safetensors"
        );
        assert!(inventory.checkpoint(r"sd\dream.SAFETENSORS").is_some());
        assert_eq!(inventory.lora("Ink.safetensors"), Some("ink.safetensors"));
        assert_eq!(inventory.lora("../ink.safetensors"), None);
        assert_eq!(Inventory::default().checkpoint(""), None);
    }

    #[test]
    fn resources_fall_back() {
        let inventory = inventory();
        assert_eq!(inventory.resource("vae", "default", &Arch::IlluV), Some("illu.vae"));
        assert_eq!(inventory.resource("vae", "default", &Arch::Sdxl), Some("all.vae"));
        assert_eq!(inventory.resource("lora", "lcm", &Arch::Sdxl), None);
        assert_eq!(inventory.upscaler("default"), Some("2x.pth"));
        assert_eq!(
            Inventory {
                upscalers: ["any.pth".to_owned()].into_iter().collect(),
                ..Inventory::default()
            }
            .upscaler("x"),
            Some("any.pth")
        );
        assert_eq!(Inventory::default().upscaler("default"), None);
    }

    #[test]
    fn serialises_as_the_plugin_wants_it() {
        let json = serde_json::to_value(inventory()).unwrap();
        assert_eq!(
            json["checkpoints"]["sd/Dream.safetensors"],
            serde_json::json!({"filename": "sd/Dream.safetensors", "arch": "sd15"})
        );
        assert_eq!(json["checkpoints"]["SD/DREAM.safetensors"]["format"], "diffusion");
        assert_eq!(json["vae"], serde_json::json!([]));
    }
}
