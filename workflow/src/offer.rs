//! What the plugin is told that it may ask for.

use crate::{
    conditioning::{find_net, is_reference, is_there},
    inventory::{Checkpoint, Inventory},
    kinds::control_image::is_detectable,
    models::{Family, is_complete},
    wire::{Arch, ControlMode},
};

/// The kinds of layers that a universal net may do.
const MODES: [ControlMode; 10] = [
    ControlMode::Scribble,
    ControlMode::LineArt,
    ControlMode::SoftEdge,
    ControlMode::CannyEdge,
    ControlMode::Depth,
    ControlMode::Normal,
    ControlMode::Pose,
    ControlMode::Segmentation,
    ControlMode::Blur,
    ControlMode::Hands,
];

const UPSCALERS: [&str; 6] = ["default", "quality", "sharp", "fast_2x", "fast_3x", "fast_4x"];

impl Inventory {
    /// Of all this what requests can really use with the nodes that the render machines have: the reply to
    /// `plugin/resources`. The plugin offers its painters exactly that.
    #[must_use]
    pub fn offered(&self) -> Self {
        let hidden = |file: &str| self.deprecated.contains(file);
        let checkpoints = self.checkpoints.iter().filter(|(_, checkpoint)| self.loads(checkpoint));
        let checkpoints = checkpoints.filter(|(_, checkpoint)| !hidden(&checkpoint.file));
        let resources = self.resources.iter().filter(|(id, file)| self.serves(id, file));
        let resources = resources.filter(|(_, file)| !hidden(file));
        let mut offered = Self {
            checkpoints: checkpoints.map(|(name, it)| (name.clone(), it.named(name))).collect(),
            resources: resources.map(|(id, file)| (id.clone(), file.clone())).collect(),
            vae: self.vae.but(hidden),
            loras: self.loras.but(hidden),
            upscalers: self.upscalers.but(hidden),
            ..Self::default()
        };
        offered.name_what_universal_nets_do(self);
        // Without this one the plugin's panel does not work at all, and it must be among the upscalers.
        if let Some(file) = self.upscaler("default") {
            let default = offered.resources.entry("upscaler-default-all".to_owned());
            let file = default.or_insert_with(|| file.to_owned());
            if offered.upscalers.name_of(file).is_none() {
                let name = self.upscalers.name_of(file).unwrap_or(file).to_owned();
                offered.upscalers.insert(name, file.clone());
            }
        }
        // The plugin looks for a resource among the names, and asks for it by that.
        for file in offered.resources.values_mut() {
            let lists = [&offered.vae, &offered.loras, &offered.upscalers];
            if let Some(name) = lists.iter().find_map(|it| it.name_of(file)) {
                *file = name.to_owned();
            }
        }
        offered
    }

    /// A net that unites several says to the plugin that each kind of layer works, and that each can be made from the canvas.
    /// Where one cannot, those that can are named one by one instead.
    fn name_what_universal_nets_do(&mut self, all: &Self) {
        let named = |id: &str| id.strip_prefix("controlnet-universal-").map(str::to_owned);
        let nets: Vec<_> = (self.resources.iter())
            .filter_map(|(id, file)| Some((id.clone(), named(id)?, file.clone())))
            .collect();
        for (id, arch, file) in nets {
            let known = Arch::from(arch.clone());
            let (works, fails): (Vec<_>, Vec<_>) = (MODES.iter())
                .filter(|mode| find_net(mode, &known, all).is_ok())
                .partition(|mode| is_detectable(mode, all));
            if fails.is_empty() {
                continue;
            }
            self.resources.remove(&id);
            for mode in works {
                let own = self.resources.entry(format!("controlnet-{mode}-{arch}"));
                own.or_insert_with(|| file.clone());
            }
        }
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
            "lora" => matches!(mode, ControlMode::Unknown(_)) && self.loras.name_of(file).is_some(),
            "controlnet" => match mode {
                ControlMode::Inpaint | ControlMode::Universal => true,
                ControlMode::Unknown(_) => false,
                mode => {
                    let works = any || find_net(&mode, &arch, self).is_ok();
                    !is_reference(&mode) && works && is_detectable(&mode, self)
                }
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
