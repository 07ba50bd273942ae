//! Latents: empty, encoded, repeated, scaled, masked, decoded.

use std::sync::Arc;

use image::imageops::FilterType;

use super::call::Call;
use super::outcome::{Outcome, Trouble};
use super::thing::{Latent, Thing, repeated};
use crate::pixels::cut::Cut;
use crate::pixels::picture::Picture;

/// A latent pixel covers this many picture pixels.
const CELL: u32 = 8;

pub(crate) fn run(call: &Call<'_>) -> Option<Outcome> {
    Some(match call.class {
        "EmptyLatentImage" | "EmptySD3LatentImage" => Ok(vec![Thing::Latent(Latent {
            width: whole(call.size("width")),
            height: whole(call.size("height")),
            batch: call.size("batch_size"),
            pictures: Vec::new(),
            mask: None,
        })]),
        "VAEEncode" | "VAEEncodeTiled" | "VAEEncodeForInpaint" => encode(call),
        "InpaintModelConditioning" => inpaint(call),
        "VAEDecode" | "VAEDecodeTiled" => decode(call),
        "RepeatLatentBatch" => repeat(call),
        "SetLatentNoiseMask" => masked(call, "samples"),
        "LatentUpscale" | "LatentUpscaleBy" => scale(call),
        _ => return None,
    })
}

fn whole(size: u32) -> u32 {
    (size / CELL).max(1) * CELL
}

fn encoded(call: &Call<'_>) -> Result<Latent, Trouble> {
    call.named("vae")?;
    let pictures = call.pictures("pixels")?;
    let (width, height) = pictures
        .first()
        .map_or((CELL, CELL), |picture| (picture.width, picture.height));
    let (cut_width, cut_height) = (whole(width), whole(height));
    // What does not fill a cell is cut off at both sides.
    let cut = Cut {
        x: width.saturating_sub(cut_width) / 2,
        y: height.saturating_sub(cut_height) / 2,
        width: cut_width,
        height: cut_height,
    };
    let fitting = |picture: &Arc<Picture>| {
        if (cut.width, cut.height) == (width, height) {
            Arc::clone(picture)
        } else if cut.width > width || cut.height > height {
            Arc::new(picture.resize(cut.width, cut.height, FilterType::Triangle))
        } else {
            Arc::new(picture.crop(cut))
        }
    };
    Ok(Latent {
        width: cut_width,
        height: cut_height,
        batch: pictures.len() as u32,
        pictures: pictures.iter().map(fitting).collect(),
        mask: None,
    })
}

fn encode(call: &Call<'_>) -> Outcome {
    let mut latent = encoded(call)?;
    if call.has("mask") {
        latent.mask = call.masks("mask")?.into_iter().next();
    }
    Ok(vec![Thing::Latent(latent)])
}

fn inpaint(call: &Call<'_>) -> Outcome {
    let mut latent = encoded(call)?;
    if call.flag("noise_mask") {
        latent.mask = call.masks("mask")?.into_iter().next();
    }
    Ok(vec![
        Thing::Words(format!("{} inpaint", call.words("positive")?)),
        Thing::Words(format!("{} inpaint", call.words("negative")?)),
        Thing::Latent(latent),
    ])
}

fn decode(call: &Call<'_>) -> Outcome {
    call.named("vae")?;
    let latent = call.latent("samples")?;
    let pictures = if latent.pictures.is_empty() {
        // An empty latent decodes to something flat.
        let flat = Arc::new(Picture::plain(latent.width, latent.height, [118, 108, 100]));
        vec![flat; latent.batch as usize]
    } else {
        latent.pictures
    };
    Ok(vec![Thing::Pictures(pictures)])
}

fn repeat(call: &Call<'_>) -> Outcome {
    let mut latent = call.latent("samples")?;
    let amount = call.size("amount").max(1);
    latent.batch *= amount;
    latent.pictures = repeated(&latent.pictures, amount);
    Ok(vec![Thing::Latent(latent)])
}

fn masked(call: &Call<'_>, name: &str) -> Outcome {
    let mut latent = call.latent(name)?;
    latent.mask = call.masks("mask")?.into_iter().next();
    Ok(vec![Thing::Latent(latent)])
}

fn scale(call: &Call<'_>) -> Outcome {
    let mut latent = call.latent("samples")?;
    let (width, height) = if call.class == "LatentUpscaleBy" {
        let by = |size: u32| (size as f32 * call.float("scale_by")) as u32;
        (by(latent.width), by(latent.height))
    } else {
        match (call.size("width"), call.size("height")) {
            (0, 0) => (latent.width, latent.height),
            (0, height) => (latent.width * height / latent.height, height),
            (width, 0) => (width, latent.height * width / latent.width),
            size => size,
        }
    };
    latent.width = whole(width);
    latent.height = whole(height);
    latent.pictures = latent
        .pictures
        .iter()
        .map(|picture| Arc::new(picture.resize(latent.width, latent.height, FilterType::Triangle)))
        .collect();
    Ok(vec![Thing::Latent(latent)])
}
