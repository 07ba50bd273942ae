//! The canvas enlarged, then refined tile by tile.

use super::{request::Request, upscale_simple::upscale_model};
use crate::{
    check::{Rect, number},
    draft::{Draft, Link, flow},
    inventory::Inventory,
    passes::sample,
    plan::{Colour, Plan},
    refusal::{Refusal, missing},
    sizing::{Frame, Layout, Part, crop_image, resize, scale, upscale},
    wire::WorkflowInput,
};

const AUTOMATIC: i64 = -1;
const OVERLAPS: std::ops::RangeInclusive<i64> = 0..=1024;
/// Of tiles times regions, their LoRAs and control layers: a graph of a few thousand nodes.
const MAX_PARTS: usize = 1024;

pub(crate) fn plan(input: &WorkflowInput, inventory: &Inventory) -> Result<Plan, Refusal> {
    let request = Request::parse(input, inventory)?;
    let canvas = request.initial_image.ok_or_else(|| missing("picture to enlarge"))?;
    let model = upscale_model(input, inventory)?;
    let overlap = match input.upscale.as_ref().map_or(AUTOMATIC, |upscale| upscale.tile_overlap) {
        AUTOMATIC => None,
        overlap => Some(number("overlap of tiles", overlap, OVERLAPS)?),
    };
    let extents = &request.extents;
    let whole = extents.initial;
    let (total, start) = (request.sampling.total_steps(), request.sampling.start_step());
    let strength = f64::from(total - start) / f64::from(total);
    let layout = Layout::new(whole, extents.desired, overlap, strength)?;
    let tiles = layout.tiles();
    if tiles.len() * (request.conditions.parts()) > MAX_PARTS {
        return Err(Refusal::new(
            "regions and control layers are too many for so many tiles. Use fewer of them or a smaller factor.",
        ));
    }
    let mut draft = Draft::default();

    let loaded = request.models.load(&mut draft);
    let picture = draft.picture(canvas, (extents.input, &[]), Colour::WHITE, []);
    let original = draft.load_image(picture);
    let mut large = original;
    if let Some(file) = model {
        large = upscale(&mut draft, inventory, file, large, extents.input);
        large = resize(&mut draft, large, extents.input, whole);
    } else {
        large = scale(&mut draft, large, extents.input, whole);
    }
    let plain = scale(&mut draft, original, extents.input, whole);

    let mut painted = large;
    for tile in &tiles {
        let cut = |draft: &mut Draft, image| {
            if tiles.len() == 1 {
                image
            } else {
                crop_image(draft, image, *tile)
            }
        };
        let piece = cut(&mut draft, large);
        let canvas = cut(&mut draft, plain);
        let frame = Frame {
            extents,
            extent: tile.extent,
            part: if tiles.len() == 1 {
                Part::Enlarged
            } else {
                Part::Tile(whole, *tile)
            },
        };
        let references = &request.conditions.references;
        let (guided, prompts) = (request.conditions).apply(&mut draft, &loaded, references, &frame, Some(canvas));
        let latent = loaded.encode(&mut draft, piece);
        let latent = sample(
            &mut draft,
            &guided,
            prompts,
            &request.sampling,
            start,
            latent,
            tile.extent,
        );
        let piece = loaded.decode(&mut draft, latent);
        painted = if tiles.len() == 1 {
            piece
        } else {
            paste(&mut draft, painted, piece, *tile, &layout)
        };
    }
    let painted = scale(&mut draft, painted, whole, extents.target);
    Ok(draft.finish(painted, 1, extents.target))
}

/// Lays a tile over the picture. Its left and upper seams fade into the tiles that are there already; to the right and
/// below lies nothing yet that could show through.
fn paste(
    draft: &mut Draft,
    picture: Link<flow::Image>,
    piece: Link<flow::Image>,
    tile: Rect,
    layout: &Layout,
) -> Link<flow::Image> {
    let inner = layout.pasted(tile);
    let piece = if inner.extent == tile.extent {
        piece
    } else {
        crop_image(draft, piece, inner)
    };
    let composite = [
        ("destination", picture.into()),
        ("source", piece.into()),
        ("x", (tile.x + inner.x).into()),
        ("y", (tile.y + inner.y).into()),
        ("resize_source", false.into()),
    ];
    let seam = |start: u32| if start > 0 { layout.blending } else { 0 };
    let (left, top) = (seam(tile.x), seam(tile.y));
    if (left, top) == (0, 0) {
        return draft.node("ImageCompositeMasked", composite).output(0);
    }
    let solid: Link<flow::Mask> = draft
        .node(
            "SolidMask",
            [
                ("value", 1.0.into()),
                ("width", inner.extent.width().into()),
                ("height", inner.extent.height().into()),
            ],
        )
        .output(0);
    let mask: Link<flow::Mask> = draft
        .node(
            "FeatherMask",
            [
                ("mask", solid.into()),
                ("left", left.into()),
                ("top", top.into()),
                ("right", 0.into()),
                ("bottom", 0.into()),
            ],
        )
        .output(0);
    draft
        .node_with(
            "ImageCompositeMasked",
            composite.into_iter().chain([("mask", mask.into())]),
        )
        .output(0)
}
