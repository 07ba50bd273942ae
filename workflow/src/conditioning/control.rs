//! Control layers: pictures that lead the diffusion through control nets.

use super::text::Encoded;
use crate::{
    check::{ImageIndex, StoredImages, real},
    draft::{Draft, Link, flow},
    inventory::Inventory,
    models::{Family, Loaded},
    plan::Filter,
    refusal::{Refusal, missing, unknown},
    sizing::Frame,
    wire::{self, Arch, ControlMode},
};

/// ComfyUI's own limit.
const STRENGTHS: std::ops::RangeInclusive<f64> = 0.0..=10.0;

/// A control net's file and, if it unites several, which of them to use.
#[derive(Debug, Clone)]
pub(crate) struct Net {
    pub(crate) file: String,
    pub(crate) union_type: Option<&'static str>,
}

/// A checked control layer.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    net: Net,
    /// None for the canvas itself, in tiled upscaling.
    image: Option<ImageIndex>,
    /// Black lines on white, which control nets want the other way round.
    lines: bool,
    filter: Filter,
    strength: f64,
    range: [f64; 2],
}

impl Control {
    pub(crate) fn parse(
        wire: &wire::Control,
        arch: &Arch,
        inventory: &Inventory,
        stored: StoredImages,
        tiled: bool,
    ) -> Result<Self, Refusal> {
        use ControlMode::{CannyEdge, LineArt, Scribble, SoftEdge};
        let image = stored.optional("control layer", wire.image)?;
        if image.is_none() && !tiled {
            return Err(missing("picture for a control layer"));
        }
        let [start, end] = wire.range;
        Ok(Self {
            net: find_net(&wire.mode, arch, inventory)?,
            image,
            lines: matches!(wire.mode, Scribble | LineArt | SoftEdge | CannyEdge),
            filter: match wire.mode {
                CannyEdge => Filter::Nearest,
                _ => Filter::Lanczos,
            },
            strength: real("control strength", wire.strength, STRENGTHS)?,
            range: [
                real("start of the control range", start, 0.0..=1.0)?,
                real("end of the control range", end, 0.0..=1.0)?,
            ],
        })
    }

    /// `canvas` stands in for a picture that was not sent.
    pub(crate) fn apply(
        &self,
        draft: &mut Draft,
        loaded: &Loaded,
        encoded: Encoded,
        frame: &Frame<'_>,
        canvas: Option<Link<flow::Image>>,
    ) -> Encoded {
        let image = match (self.image, canvas) {
            (Some(image), _) => frame.control(draft, image, self.lines, self.filter),
            (None, Some(canvas)) => canvas,
            (None, None) => return encoded,
        };
        self.net.apply(draft, loaded, encoded, image, self.strength, self.range)
    }
}

impl Net {
    pub(crate) fn load(&self, draft: &mut Draft) -> Link<flow::ControlNet> {
        let file = draft.model_file(&self.file);
        let net: Link<flow::ControlNet> = draft.node("ControlNetLoader", [("control_net_name", file)]).output(0);
        match self.union_type {
            Some(kind) => draft
                .node(
                    "SetUnionControlNetType",
                    [("control_net", net.into()), ("type", kind.into())],
                )
                .output(0),
            None => net,
        }
    }

    pub(crate) fn apply(
        &self,
        draft: &mut Draft,
        loaded: &Loaded,
        encoded: Encoded,
        image: Link<flow::Image>,
        strength: f64,
        [start, end]: [f64; 2],
    ) -> Encoded {
        let net = self.load(draft);
        let node = draft.node(
            "ControlNetApplyAdvanced",
            [
                ("positive", encoded.positive.into()),
                ("negative", encoded.negative.into()),
                ("control_net", net.into()),
                ("image", image.into()),
                ("strength", strength.into()),
                ("start_percent", start.into()),
                ("end_percent", end.into()),
                ("vae", loaded.vae.into()),
            ],
        );
        Encoded {
            positive: node.output(0),
            negative: node.output(1),
        }
    }
}

/// The file for a mode: one of its own, or one that unites several.
pub(crate) fn find_net(mode: &ControlMode, arch: &Arch, inventory: &Inventory) -> Result<Net, Refusal> {
    use ControlMode::{Inpaint, Universal};
    match mode {
        ControlMode::Unknown(name) => return Err(unknown("control mode", name)),
        Inpaint | Universal => {
            return Err(Refusal::new(format!(
                "control layers of the kind {mode} cannot be asked for. Update the plugin."
            )));
        }
        _ => {}
    }
    let universal = inventory.resource("controlnet", "universal", arch);
    let union_type = union_type(mode, Family::parse(arch)?);
    if let Some(file) = inventory.resource("controlnet", &mode.to_string(), arch) {
        let unites = universal == Some(file) || file.to_lowercase().contains("union");
        return Ok(Net {
            file: file.to_owned(),
            union_type: union_type.filter(|_| unites),
        });
    }
    match (universal, union_type) {
        (Some(file), Some(kind)) => Ok(Net {
            file: file.to_owned(),
            union_type: Some(kind),
        }),
        _ => Err(Refusal::new(format!(
            "a {mode} control layer needs controlnet-{mode}-{arch}, which is not on this server. Remove the layer."
        ))),
    }
}

/// The name that a mode has in a net that unites several.
fn union_type(mode: &ControlMode, family: Family) -> Option<&'static str> {
    use ControlMode::{Blur, CannyEdge, Depth, Hands, LineArt, Normal, Pose, Scribble, Segmentation, SoftEdge};
    let flux = family == Family::Flux;
    Some(match mode {
        SoftEdge => "hed/pidi/scribble/ted",
        Scribble if !flux => "hed/pidi/scribble/ted",
        LineArt | CannyEdge => "canny/lineart/anime_lineart/mlsd",
        Depth => "depth",
        Hands if !flux => "depth",
        Normal if !flux => "normal",
        Pose => "openpose",
        Segmentation if !flux => "segment",
        Blur => "tile",
        _ => return None,
    })
}
