//! A selection painted anew.

use super::{request::Request, second_pass::start_step};
use crate::{
    check::{Extent, Extents, ImageIndex, Rect},
    conditioning::References,
    draft::{Draft, Link, Picture, flow},
    inventory::Inventory,
    models::Loaded,
    passes::{Canvas, InpaintModel, Selection, masked_pass, repeat, sample},
    plan::{Colour, Operation, Plan},
    refusal::{Refusal, missing},
    sizing::{
        ColourReference, Frame, Part, Step, ToDesired, crop_image, deliver, enlarge, resized, scale, scaled, to_desired,
    },
    wire::WorkflowInput,
};

/// Shorter pieces of the first pass are enlarged to this before an upscale model sees them.
const LEAST_SIDE: u32 = 32;

pub(crate) fn plan(input: &WorkflowInput, inventory: &Inventory) -> Result<Plan, Refusal> {
    let request = Request::parse(input, inventory)?;
    let canvas = request.initial_image.ok_or_else(|| missing("picture to inpaint"))?;
    let mask = request.hires_mask.ok_or_else(|| missing("selection"))?;
    let selection = request.selection.as_ref().ok_or_else(|| missing("selection"))?;
    let extents = &request.extents;
    let second = match to_desired(extents.initial, extents.desired) {
        ToDesired::SampleAgain(upscaler) => {
            let sides = input
                .crop_upscale_extent
                .ok_or_else(|| missing("size of the detail pass"))?;
            Some((upscaler, Extents::parse_crop(sides, request.batch)?))
        }
        _ => None,
    };
    let mut draft = Draft::default();

    let loaded = request.models.load(&mut draft).differential(&mut draft);
    let prepared = Prepared::new(&mut draft, &request, selection, canvas, mask);
    let content = draft.load_image(prepared.filled);
    let references = if selection.uses_reference {
        &request
            .conditions
            .references
            .with_surroundings(&mut draft, prepared.picture, extents, selection.bounds)
    } else {
        &request.conditions.references
    };
    let frame = request.frame(extents.initial);
    let (guided, prompts) = request.conditions.apply(&mut draft, &loaded, references, &frame, None);
    let canvas = Canvas {
        picture: prepared.picture,
        mask: prepared.at_initial,
    };
    let pass = masked_pass(&mut draft, &guided, &selection.model, prompts, canvas, content);
    let latent = repeat(&mut draft, pass.latent, request.batch);
    let start = request.sampling.start_step();
    let first = sample(
        &mut draft,
        &pass.loaded,
        pass.prompts,
        &request.sampling,
        start,
        latent,
        extents.initial,
    );
    let images = loaded.decode(&mut draft, first);

    let bounds = selection.bounds;
    let images = match second {
        None => {
            let reference = (request.colour_match > 0.0).then_some(ColourReference {
                picture: prepared.filled,
                mask: prepared.at_initial,
                strength: request.colour_match,
            });
            let steps = [
                Step::Scale(extents.desired),
                Step::Crop(bounds.convert(extents.target, extents.desired)),
                Step::ToCanvas(bounds.extent),
            ];
            deliver(&mut draft, inventory, images, extents.initial, &steps, reference)
        }
        Some((upscaler, size)) => {
            let detail = Detail {
                inventory,
                request: &request,
                selection,
                loaded: &loaded,
                upscaler,
                size,
            };
            detail.paint(&mut draft, &prepared, images)
        }
    };
    let alpha = selection.alpha(&mut draft, prepared.cut);
    draft.finish_with([alpha]);
    Ok(draft.finish(images, request.batch, bounds.extent))
}

/// The pictures that both passes need.
struct Prepared {
    /// In the size of the first pass.
    picture: Picture,
    /// With the selection filled.
    filled: Picture,
    /// The mask as it acts in the first pass.
    at_initial: Picture,
    /// The same on the canvas, cut to the result.
    cut: Picture,
}

impl Prepared {
    fn new(draft: &mut Draft, request: &Request, selection: &Selection, canvas: ImageIndex, mask: ImageIndex) -> Self {
        let extents = &request.extents;
        let to_initial: Vec<_> = scaled(extents.input, extents.initial).into_iter().collect();
        let picture = draft.picture(canvas, (extents.input, &[]), Colour::WHITE, to_initial);
        let [sent, acts] = selection.masks(draft, mask, extents);
        let filled = match selection.fill {
            None => picture,
            Some(how) => {
                let mask = selection.fill_mask(draft, sent);
                let mask = resized(draft, mask, extents.target, extents.initial, None).place();
                draft.derive(picture, [Operation::Fill { mask, how }])
            }
        };
        let whole = selection.bounds.extent == extents.target;
        let cut = (!whole).then(|| selection.bounds.crop());
        Self {
            picture,
            filled,
            at_initial: resized(draft, acts, extents.target, extents.initial, Some(Operation::Stable)),
            cut: draft.derive(acts, cut.into_iter().collect::<Vec<_>>()),
        }
    }
}

/// The second pass, over the result's rectangle alone.
struct Detail<'a> {
    inventory: &'a Inventory,
    request: &'a Request,
    selection: &'a Selection,
    loaded: &'a Loaded,
    upscaler: &'static str,
    size: Extent,
}

impl Detail<'_> {
    fn paint(&self, draft: &mut Draft, prepared: &Prepared, first: Link<flow::Image>) -> Link<flow::Image> {
        let (request, bounds, size) = (self.request, self.selection.bounds, self.size);
        let extents = &request.extents;
        let piece = bounds.convert(extents.target, extents.initial);
        let image = self.enlarged(draft, first, piece);

        let total = request.sampling.total_steps();
        let start = start_step(total);
        let mut images = image;
        // Of a single step nothing is left for this pass.
        if start < total {
            let frame = Frame {
                extents,
                extent: size,
                part: Part::Selection(bounds),
            };
            // Only the first pass looks at references: this one keeps to what that one has painted.
            let none = References::default();
            let (loaded, prompts) = request.conditions.apply(draft, self.loaded, &none, &frame, None);
            let picture = if let Some(detail) = request.hires_image {
                let scale = scaled(bounds.extent, size).into_iter().collect::<Vec<_>>();
                draft.picture(detail, (bounds.extent, &[]), Colour::WHITE, scale)
            } else {
                let cut = draft.derive(prepared.picture, [piece.crop()]);
                resized(draft, cut, piece.extent, size, None)
            };
            let canvas = Canvas {
                picture,
                mask: resized(draft, prepared.cut, bounds.extent, size, None),
            };
            let model = match &self.selection.model {
                // Without its picture the control net is left out.
                InpaintModel::Net(_) | InpaintModel::Masked(_) if request.hires_image.is_none() => &InpaintModel::None,
                model => model,
            };
            let pass = masked_pass(draft, &loaded, model, prompts, canvas, image);
            let latent = sample(
                draft,
                &pass.loaded,
                pass.prompts,
                &request.sampling,
                start,
                pass.latent,
                size,
            );
            images = self.loaded.decode(draft, latent);
        }
        let reference = (request.colour_match > 0.0).then(|| {
            let cut = draft.derive(prepared.filled, [piece.crop()]);
            ColourReference {
                picture: resized(draft, cut, piece.extent, size, None),
                mask: resized(draft, prepared.cut, bounds.extent, size, None),
                strength: request.colour_match,
            }
        });
        deliver(
            draft,
            self.inventory,
            images,
            size,
            &[Step::ToCanvas(bounds.extent)],
            reference,
        )
    }

    fn enlarged(&self, draft: &mut Draft, first: Link<flow::Image>, piece: Rect) -> Link<flow::Image> {
        let image = crop_image(draft, first, piece);
        let short = piece.extent.width().min(piece.extent.height());
        let factor = f64::from(LEAST_SIDE) / f64::from(short);
        let grown = |side: u32| ((f64::from(side) * factor).round_ties_even() as u32).max(LEAST_SIDE);
        let mut at = piece.extent;
        if short < LEAST_SIDE {
            at = Extent::new(grown(at.width()), grown(at.height()));
        }
        let image = scale(draft, image, piece.extent, at);
        enlarge(draft, self.inventory, self.upscaler, image, at, self.size)
    }
}
