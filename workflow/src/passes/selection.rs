//! The selection: its mask, what it holds before the diffusion, and models made for inpainting.

use crate::{
    check::{Extents, ImageIndex, Rect, number},
    conditioning::{Encoded, Net},
    draft::{Draft, Link, Picture, flow},
    inventory::Inventory,
    models::{Family, Guidance, Loaded, Models},
    plan::{Colour, Filling, Operation},
    refusal::{Refusal, unknown},
    wire::{self, Fill, InpaintMode},
};

/// The protocol's limit for growth and soft rims.
const RIMS: std::ops::RangeInclusive<i64> = 0..=499;

/// A checked selection.
#[derive(Debug)]
pub(crate) struct Selection {
    /// Of the result, in the target.
    pub(crate) bounds: Rect,
    pub(crate) fill: Option<Filling>,
    grow: u32,
    feather: u32,
    blend: u32,
    pub(crate) model: InpaintModel,
    /// The canvas around it is shown to the model.
    pub(crate) uses_reference: bool,
}

/// What helps the diffusion to fit a selection into its surroundings.
#[derive(Debug)]
pub(crate) enum InpaintModel {
    /// Nothing but the noise mask.
    None,
    /// A control net that sees the picture without the selection.
    Net(Net),
    /// Flux's control net, which takes picture and mask.
    Masked(Net),
    /// The checkpoint itself is made for it.
    Checkpoint,
}

impl Selection {
    pub(crate) fn parse(
        wire: &wire::Inpaint,
        extents: &Extents,
        inventory: &Inventory,
        models: &Models,
    ) -> Result<Self, Refusal> {
        if let InpaintMode::Unknown(name) = &wire.mode {
            return Err(unknown("inpaint mode", name));
        }
        let fill = match &wire.fill {
            Fill::None => None,
            Fill::Neutral => Some(Filling::Neutral),
            Fill::Blur => Some(Filling::Blur),
            // Without a network for it, what was removed is continued from its surroundings.
            Fill::Border | Fill::Inpaint => Some(Filling::Border),
            Fill::Replace => Some(Filling::Replace),
            Fill::Green => Some(Filling::Green),
            Fill::Unknown(name) => return Err(unknown("fill mode", name)),
        };
        Ok(Self {
            bounds: Rect::parse("selection", wire.target_bounds, extents.target)?,
            fill,
            grow: number("growth of the selection", wire.grow, RIMS)?,
            feather: number("feather of the selection", wire.feather, RIMS)?,
            blend: number("blend of the selection", wire.blend, RIMS)?,
            model: if wire.use_inpaint_model {
                InpaintModel::find(inventory, models)
            } else {
                InpaintModel::None
            },
            uses_reference: wire.use_reference,
        })
    }

    /// The mask as sent and cleaned, and as it acts: grown and soft.
    pub(crate) fn masks(&self, draft: &mut Draft, mask: ImageIndex, extents: &Extents) -> [Picture; 2] {
        let sent = draft.picture(mask, (extents.target, &[]), Colour::BLACK, [Operation::Mask]);
        let expand = Operation::Expand {
            grow: self.grow,
            feather: self.feather,
        };
        let acts = self.grow > 0 || self.feather > 0;
        [
            sent,
            draft.derive(sent, acts.then_some(expand).into_iter().collect::<Vec<_>>()),
        ]
    }

    /// Where the canvas is filled: the mask without its soft rim.
    pub(crate) fn fill_mask(&self, draft: &mut Draft, sent: Picture) -> Picture {
        let grow = self.grow.saturating_sub(self.feather / 2);
        let expand = Operation::Expand { grow, feather: 0 };
        draft.derive(sent, (grow > 0).then_some(expand).into_iter().collect::<Vec<_>>())
    }

    /// The alpha of the result, from the mask cut to the result.
    pub(crate) fn alpha(&self, draft: &mut Draft, cut: Picture) -> Operation {
        let mask = draft.derive(cut, [Operation::Composite { blend: self.blend }]);
        Operation::Alpha { mask: mask.place() }
    }
}

impl InpaintModel {
    /// The best that the inventory has. Without any the noise mask alone must do.
    fn find(inventory: &Inventory, models: &Models) -> Self {
        let named = |word: &str, file: &str| file.to_lowercase().contains(word);
        let net = |file: &str, union_type| Net {
            file: file.to_owned(),
            union_type,
        };
        let own = inventory.resource("controlnet", "inpaint", &models.arch);
        match (models.family, own) {
            (Family::Flux, Some(file)) => Self::Masked(net(file, None)),
            (Family::Flux, None) if named("fill", models.file()) => Self::Checkpoint,
            (_, Some(file)) => Self::Net(net(file, None)),
            (Family::Sdxl, None) => {
                let universal = inventory.resource("controlnet", "universal", &models.arch);
                match universal.filter(|file| named("promax", file)) {
                    Some(file) => Self::Net(net(file, Some("repaint"))),
                    None if named("inpaint", models.file()) => Self::Checkpoint,
                    None => Self::None,
                }
            }
            (_, None) if named("inpaint", models.file()) => Self::Checkpoint,
            (_, None) => Self::None,
        }
    }
}

/// The pictures of a pass over a selection, all in the size of the pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Canvas {
    /// As the painter left it.
    pub(crate) picture: Picture,
    /// What is selected, as it acts.
    pub(crate) mask: Picture,
}

/// A pass over a selection, ready to be sampled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MaskedPass {
    pub(crate) loaded: Loaded,
    pub(crate) prompts: Encoded,
    pub(crate) latent: Link<flow::Latent>,
}

/// Encodes `content`, lets the diffusion act only in the mask, and has the inpaint model see the canvas.
pub(crate) fn masked_pass(
    draft: &mut Draft,
    loaded: &Loaded,
    model: &InpaintModel,
    prompts: Encoded,
    canvas: Canvas,
    content: Link<flow::Image>,
) -> MaskedPass {
    let mut loaded = *loaded;
    let mask = draft.load_mask(canvas.mask);
    let prompts = match model {
        InpaintModel::None => prompts,
        InpaintModel::Net(net) => {
            let mask = canvas.mask.place();
            let hint = draft.derive(canvas.picture, [Operation::Hint { mask }]);
            let hint = draft.load_image(hint);
            net.apply(draft, &loaded, prompts, hint, 1.0, [0.0, 1.0])
        }
        InpaintModel::Masked(net) => {
            let net = net.load(draft);
            let picture = draft.load_image(canvas.picture);
            let node = draft.node(
                "ControlNetInpaintingAliMamaApply",
                [
                    ("positive", prompts.positive.into()),
                    ("negative", prompts.negative.into()),
                    ("control_net", net.into()),
                    ("vae", loaded.vae.into()),
                    ("image", picture.into()),
                    ("mask", mask.into()),
                    ("strength", 0.9.into()),
                    ("start_percent", 0.0.into()),
                    ("end_percent", 0.5.into()),
                ],
            );
            Encoded {
                positive: node.output(0),
                negative: node.output(1),
            }
        }
        InpaintModel::Checkpoint => {
            let node = draft.node(
                "InpaintModelConditioning",
                [
                    ("positive", prompts.positive.into()),
                    ("negative", prompts.negative.into()),
                    ("vae", loaded.vae.into()),
                    ("pixels", content.into()),
                    ("mask", mask.into()),
                    ("noise_mask", true.into()),
                ],
            );
            loaded.guidance = loaded.guidance.map(|_| Guidance::Filling);
            return MaskedPass {
                loaded,
                prompts: Encoded {
                    positive: node.output(0),
                    negative: node.output(1),
                },
                latent: node.output(2),
            };
        }
    };
    let latent = loaded.encode(draft, content);
    let latent = draft
        .node(
            "SetLatentNoiseMask",
            [("samples", latent.into()), ("mask", mask.into())],
        )
        .output(0);
    MaskedPass {
        loaded,
        prompts,
        latent,
    }
}
