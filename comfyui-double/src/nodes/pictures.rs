//! Pictures: made, scaled, cropped, mixed.

use std::sync::Arc;

use image::imageops::FilterType;

use super::call::Call;
use super::outcome::{Outcome, Trouble};
use super::thing::{Thing, repeated};
use crate::options::Version;
use crate::pixels::cut::Cut;
use crate::pixels::mask::Mask;
use crate::pixels::picture::Picture;

pub(crate) fn run(call: &Call<'_>, version: Version) -> Option<Outcome> {
    Some(match call.class {
        "EmptyImage" => Ok(empty(call)),
        "ImageScale" => each(call, |picture| scale(call, picture)),
        "ImageScaleBy" => each(call, |picture| {
            let by = |size: u32| ((size as f32 * call.float("scale_by")).round() as u32).max(1);
            picture.resize(by(picture.width), by(picture.height), filter(call))
        }),
        "ImageUpscaleWithModel" => upscale(call),
        "ImageCrop" => each(call, |picture| picture.crop(cut(call, picture.width, picture.height))),
        "ImageInvert" => each(call, Picture::invert),
        "ImageBlur" => each(call, |picture| {
            // Sigma counts in radii there.
            picture.blur(call.float("blur_radius") * call.float("sigma") * 0.5)
        }),
        "Canny" => each(call, |picture| edges(picture, call.float("low_threshold"))),
        "ImageFromBatch" => from_batch(call),
        "RepeatImageBatch" => call
            .pictures("image")
            .map(|pictures| vec![Thing::Pictures(repeated(&pictures, call.size("amount").max(1)))]),
        "ImageCompositeMasked" => composite(call),
        "JoinImageWithAlpha" => join_alpha(call, version),
        "SplitImageWithAlpha" => split_alpha(call),
        _ => return None,
    })
}

fn each(call: &Call<'_>, change: impl Fn(&Picture) -> Picture) -> Outcome {
    let pictures = call.pictures("image")?;
    let changed = pictures.iter().map(|picture| Arc::new(change(picture))).collect();
    Ok(vec![Thing::Pictures(changed)])
}

fn empty(call: &Call<'_>) -> Vec<Thing> {
    let [_, red, green, blue] = call.size("color").to_be_bytes();
    let picture = Picture::plain(call.size("width"), call.size("height"), [red, green, blue]);
    vec![Thing::Pictures(repeated(&[Arc::new(picture)], call.size("batch_size")))]
}

fn filter(call: &Call<'_>) -> FilterType {
    match call.text("upscale_method").as_str() {
        "nearest-exact" => FilterType::Nearest,
        "bicubic" => FilterType::CatmullRom,
        "lanczos" => FilterType::Lanczos3,
        _ => FilterType::Triangle,
    }
}

/// A side of 0 keeps the proportions; "center" cuts the longer side before.
fn scale(call: &Call<'_>, picture: &Picture) -> Picture {
    let (old_width, old_height) = (picture.width, picture.height);
    let by_ratio =
        |side: u32, this: u32, other: u32| ((side as f32 * other as f32 / this as f32).round() as u32).max(1);
    let (width, height) = match (call.size("width"), call.size("height")) {
        (0, 0) => (old_width, old_height),
        (0, height) => (by_ratio(height, old_height, old_width), height),
        (width, 0) => (width, by_ratio(width, old_width, old_height)),
        size => size,
    };
    if call.text("crop") != "center" {
        return picture.resize(width, height, filter(call));
    }
    let ratio = f64::from(width) / f64::from(height);
    let cut_width = ((f64::from(old_height) * ratio).round() as u32).clamp(1, old_width);
    let cut_height = ((f64::from(old_width) / ratio).round() as u32).clamp(1, old_height);
    let cut = Cut {
        x: (old_width - cut_width) / 2,
        y: (old_height - cut_height) / 2,
        width: cut_width,
        height: cut_height,
    };
    picture.crop(cut).resize(width, height, filter(call))
}

fn upscale(call: &Call<'_>) -> Outcome {
    let Some(Thing::UpscaleModel(factor)) = call.thing("upscale_model") else {
        let text = "'str' object has no attribute 'model'";
        return Err(Trouble::exception("AttributeError", text));
    };
    each(call, |picture| {
        picture.resize(picture.width * factor, picture.height * factor, FilterType::CatmullRom)
    })
}

/// The rectangle that a crop node means: moved inside, then cut off at the edge.
pub(super) fn cut(call: &Call<'_>, width: u32, height: u32) -> Cut {
    let x = call.size("x").min(width.saturating_sub(1));
    let y = call.size("y").min(height.saturating_sub(1));
    Cut {
        x,
        y,
        width: call.size("width").min(width - x),
        height: call.size("height").min(height - y),
    }
}

fn from_batch(call: &Call<'_>) -> Outcome {
    let pictures = call.pictures("image")?;
    let start = (call.size("batch_index") as usize).min(pictures.len().saturating_sub(1));
    let end = (start + call.size("length") as usize).min(pictures.len());
    Ok(vec![Thing::Pictures(pictures[start..end].to_vec())])
}

fn composite(call: &Call<'_>) -> Outcome {
    let (destinations, sources) = (call.pictures("destination")?, call.pictures("source")?);
    let masks = if call.has("mask") {
        call.masks("mask")?
    } else {
        Vec::new()
    };
    let mut results = Vec::new();
    for (index, destination) in destinations.iter().enumerate() {
        let Some(source) = sources.get(index % sources.len().max(1)) else {
            break;
        };
        let mut source = Arc::clone(source);
        if call.flag("resize_source") {
            source = Arc::new(source.resize(destination.width, destination.height, FilterType::Triangle));
        }
        let mask = masks
            .get(index % masks.len().max(1))
            .map(|mask| mask.resize(source.width, source.height));
        let mut result = Picture::clone(destination);
        result.paste(&source, mask.as_ref(), call.int("x"), call.int("y"));
        results.push(Arc::new(result));
    }
    Ok(vec![Thing::Pictures(results)])
}

/// Stores 1 - mask as alpha. 0.3.75 makes as many pictures as the shorter of both lists has.
fn join_alpha(call: &Call<'_>, version: Version) -> Outcome {
    let (pictures, masks) = (call.pictures("image")?, call.masks("alpha")?);
    let count = match version {
        Version::V0_3 => pictures.len().min(masks.len()),
        Version::V0_33 => pictures.len().max(masks.len()),
    };
    let joined = pictures.iter().cycle().zip(masks.iter().cycle()).take(count);
    let joined = joined
        .map(|(picture, mask)| {
            let alpha = mask.resize(picture.width, picture.height).invert().data;
            Arc::new(Picture {
                alpha: Some(alpha),
                ..Picture::clone(picture)
            })
        })
        .collect();
    Ok(vec![Thing::Pictures(joined)])
}

fn split_alpha(call: &Call<'_>) -> Outcome {
    let pictures = call.pictures("image")?;
    let masks = pictures
        .iter()
        .map(|picture| {
            let opaque = || Mask::plain(picture.width, picture.height, 255);
            Arc::new(picture.alpha_mask().unwrap_or_else(opaque).invert())
        })
        .collect();
    let plain = pictures
        .iter()
        .map(|picture| Arc::new(Picture::clone(picture).without_alpha()))
        .collect();
    Ok(vec![Thing::Pictures(plain), Thing::Masks(masks)])
}

/// White where the brightness jumps: enough to look like an edge detector's result.
pub(super) fn edges(picture: &Picture, threshold: f32) -> Picture {
    let gray = picture.channel(1);
    let width = gray.width as usize;
    let limit = (threshold * 120.0) as i32;
    let source = gray.data.as_slice();
    let mut data = vec![0; source.len()];
    let mut index = width;
    while index < source.len() {
        let here = i32::from(source[index]);
        let across = i32::from(source[index - 1]);
        let above = i32::from(source[index - width]);
        if (here - across).abs() + (here - above).abs() > limit {
            data[index] = 255;
        }
        index += 1;
    }
    Picture::gray(&Mask { data, ..gray })
}
