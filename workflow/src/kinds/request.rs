//! A request with diffusion, from the wire to values that may be used: whatever is in here is within its limits.

use crate::{
    check::{Extent, Extents, ImageIndex, StoredImages, number, real},
    conditioning::{Conditions, Encoded},
    draft::Draft,
    inventory::Inventory,
    models::{Loaded, Models},
    passes::{Sampling, Selection},
    refusal::{Refusal, missing, not_yet},
    sizing::Frame,
    wire::{Kind, WorkflowInput},
};

const MAX_BATCH: i64 = 16;
const MAX_REGIONS: usize = 64;

/// A request with diffusion, checked.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) extents: Extents,
    pub(crate) initial_image: Option<ImageIndex>,
    pub(crate) hires_image: Option<ImageIndex>,
    pub(crate) hires_mask: Option<ImageIndex>,
    pub(crate) models: Models,
    pub(crate) conditions: Conditions,
    pub(crate) sampling: Sampling,
    pub(crate) selection: Option<Selection>,
    /// 0 to 1.
    pub(crate) colour_match: f64,
    /// Pictures wanted, at least 1.
    pub(crate) batch: u32,
}

impl Request {
    pub(crate) fn parse(input: &WorkflowInput, inventory: &Inventory) -> Result<Self, Refusal> {
        let images = input.images.as_ref().ok_or_else(|| missing("image sizes"))?;
        let models = input.models.as_ref().ok_or_else(|| missing("model"))?;
        let sampling = input.sampling.as_ref().ok_or_else(|| missing("sampler"))?;
        let conditioning = input.conditioning.as_ref().ok_or_else(|| missing("prompt"))?;
        let regions = conditioning.regions.as_slice();
        let tiled = input.kind == Kind::UpscaleTiled;

        if regions.len() > MAX_REGIONS {
            return Err(Refusal::new(format!(
                "{} regions are too many, the limit is {MAX_REGIONS}. Merge or remove some.",
                regions.len()
            )));
        }
        if input.nsfw_filter.is_nan() || input.nsfw_filter > 0.0 {
            return Err(Refusal::new(
                "the content filter is not available on this server. Switch it off in the plugin's settings.",
            ));
        }
        if images.layer_count != 1 {
            return Err(not_yet("a picture in layers"));
        }

        let stored = StoredImages::parse(input.image_data.as_ref())?;
        let batch = number("number of images", input.batch_count, 1..=MAX_BATCH)?;
        let batch = if tiled { 1 } else { batch };
        let extents = if tiled {
            Extents::parse_tiled(&images.extent)?
        } else {
            Extents::parse(&images.extent, batch)?
        };
        // One region covers everything: its prompt is the prompt, and its LoRAs are LoRAs.
        let only = regions.first().filter(|_| regions.len() == 1);
        let loras = models
            .loras
            .iter()
            .chain(only.into_iter().flat_map(|region| &region.loras));
        let sampling = Sampling::parse(sampling, &models.version)?;
        let parsed = Models::parse(models, loras, inventory)?;
        let conditions = Conditions::parse(
            conditioning,
            &models.version,
            inventory,
            stored,
            sampling.uses_negative(),
            tiled,
        )?;
        Ok(Self {
            initial_image: stored.optional("initial image", images.initial_image)?,
            hires_image: stored.optional("detail image", images.hires_image)?,
            hires_mask: stored.optional("selection", images.hires_mask)?,
            selection: (input.inpaint.as_ref())
                .map(|inpaint| Selection::parse(inpaint, &extents, inventory, &parsed))
                .transpose()?,
            colour_match: real("colour match", input.color_match, 0.0..=1.0)?,
            extents,
            models: parsed,
            conditions,
            sampling,
            batch,
        })
    }

    /// What leads a pass over this frame: the model, patched, and the prompts.
    pub(crate) fn lead(&self, draft: &mut Draft, loaded: &Loaded, frame: &Frame<'_>) -> (Loaded, Encoded) {
        let references = &self.conditions.references;
        self.conditions.apply(draft, loaded, references, frame, None)
    }

    /// The whole picture in a pass of this size.
    pub(crate) fn frame(&self, extent: Extent) -> Frame<'_> {
        Frame::whole(&self.extents, extent)
    }
}
