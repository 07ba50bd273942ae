//! What makes a model look at pictures.

use crate::{
    draft::{Draft, Link, flow},
    inventory::Inventory,
    models::Family,
    refusal::Refusal,
    wire::{Arch, ControlMode},
};

/// The nodes of IP-Adapter.
const NODES: [&str; 4] = [
    "IPAdapterModelLoader",
    "IPAdapterEncoder",
    "IPAdapterCombineEmbeds",
    "IPAdapterEmbeds",
];

/// What makes a model look at pictures.
#[derive(Debug, Clone)]
pub(super) enum Adapter {
    /// For the attention of Stable Diffusion.
    IpAdapter(Files),
    /// For the prompt of Flux.
    Redux(Files),
}

#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) adapter: String,
    pub(super) clip_vision: String,
}

impl Adapter {
    pub(super) fn find(mode: &ControlMode, arch: &Arch, inventory: &Inventory) -> Result<Self, Refusal> {
        use ControlMode::{Composition, Face, Style};
        let family = Family::parse(arch)?;
        match (mode, family) {
            (Face, _) => {
                return Err(Refusal::new(
                    "face layers are not available on this server: it has no face recognition. Remove the layer.",
                ));
            }
            (Style | Composition, Family::Flux) => {
                return Err(Refusal::new(format!(
                    "a {mode} layer works with SD1.5 and SDXL models only. Use a reference layer, or another model."
                )));
            }
            _ => {}
        }
        let file = |kind: &str, identifier: &str| {
            inventory.resource(kind, identifier, arch).map(str::to_owned).ok_or_else(|| {
                Refusal::new(format!(
                    "a {mode} layer needs {kind}-{identifier}-{arch}, which is not on this server. Remove the layer."
                ))
            })
        };
        let vision = if family == Family::Flux { "redux" } else { "ip_adapter" };
        let files = Files {
            adapter: file("ip_adapter", "reference")?,
            clip_vision: file("clip_vision", vision)?,
        };
        if family == Family::Flux {
            return Ok(Self::Redux(files));
        }
        inventory.need_nodes(&format!("a {mode} layer"), &NODES)?;
        Ok(Self::IpAdapter(files))
    }
}

impl Files {
    pub(super) fn load_clip_vision(&self, draft: &mut Draft) -> Link<flow::ClipVision> {
        let file = draft.model_file(&self.clip_vision);
        draft.node("CLIPVisionLoader", [("clip_name", file)]).output(0)
    }
}
