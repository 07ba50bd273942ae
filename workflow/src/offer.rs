//! What the plugin is told that it may ask for.

use crate::{
    conditioning::{find_net, is_reference, is_there},
    inventory::{Checkpoint, Inventory},
    models::{Family, is_complete},
    wire::{Arch, ControlMode},
};

const UPSCALERS: [&str; 6] = ["default", "quality", "sharp", "fast_2x", "fast_3x", "fast_4x"];

impl Inventory {
    /// Of all this what requests can really use with the nodes that the render machines have: the reply to
    /// `plugin/resources`. The plugin offers its painters exactly that.
    #[must_use]
    pub fn offered(&self) -> Self {
        let checkpoints = self.checkpoints.iter().filter(|(_, checkpoint)| self.loads(checkpoint));
        let resources = self.resources.iter().filter(|(id, file)| self.serves(id, file));
        let mut offered = Self {
            checkpoints: checkpoints.map(|(name, it)| (name.clone(), it.clone())).collect(),
            resources: resources.map(|(id, file)| (id.clone(), file.clone())).collect(),
            vae: self.vae.clone(),
            loras: self.loras.clone(),
            upscalers: self.upscalers.clone(),
            ..Self::default()
        };
        // Without this one the plugin's panel does not work at all, and it must be among the upscalers.
        if let Some(file) = self.upscaler("default") {
            let default = offered.resources.entry("upscaler-default-all".to_owned());
            let file = default.or_insert_with(|| file.to_owned());
            if !offered.upscalers.contains(file) {
                offered.upscalers.push(file.clone());
            }
        }
        offered
    }

    fn loads(&self, checkpoint: &Checkpoint) -> bool {
        Family::parse(&checkpoint.arch).is_ok_and(|family| is_complete(checkpoint, family, self))
    }

    /// Whether some request uses this resource. An id of another form would make the plugin refuse every LoRA.
    fn serves(&self, id: &str, file: &str) -> bool {
        let mut parts = id.split('-');
        let (Some(kind), Some(identifier), Some(arch), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let any = arch == "all";
        let arch = Arch::from(arch.to_owned());
        let family = Family::parse(&arch);
        if family.is_err() && !any {
            return false;
        }
        let mode = ControlMode::from(identifier.to_owned());
        match kind {
            "upscaler" => any && UPSCALERS.contains(&identifier),
            "vae" => identifier == "default",
            "text_encoder" => matches!(identifier, "clip_l" | "clip_g" | "t5"),
            // Those of control modes are for models that work otherwise.
            "lora" => matches!(mode, ControlMode::Unknown(_)) && self.lora(file).is_some(),
            "controlnet" => match mode {
                ControlMode::Inpaint | ControlMode::Universal => true,
                ControlMode::Unknown(_) => false,
                mode => !is_reference(&mode) && (any || find_net(&mode, &arch, self).is_ok()),
            },
            "ip_adapter" => identifier == "reference" && is_there(&arch, self),
            "clip_vision" => {
                let wanted = if family == Ok(Family::Flux) {
                    "redux"
                } else {
                    "ip_adapter"
                };
                identifier == wanted && is_there(&arch, self)
            }
            _ => false,
        }
    }
}
