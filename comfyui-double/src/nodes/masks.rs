//! Masks.

use std::sync::Arc;

use super::call::Call;
use super::outcome::Outcome;
use super::pictures::cut;
use super::thing::Thing;
use crate::pixels::mask::Mask;
use crate::pixels::picture::Picture;

pub(crate) fn run(call: &Call<'_>) -> Option<Outcome> {
    Some(match call.class {
        "SolidMask" => {
            let value = (call.float("value") * 255.0).round() as u8;
            let mask = Mask::plain(call.size("width"), call.size("height"), value);
            Ok(vec![Thing::Masks(vec![Arc::new(mask)])])
        }
        "InvertMask" => each(call, Mask::invert),
        "ThresholdMask" => each(call, |mask| {
            let limit = call.float("value");
            mask.map(|value| if f32::from(value) / 255.0 > limit { 255 } else { 0 })
        }),
        "GrowMask" => each(call, |mask| mask.grow(call.int("expand"))),
        "FeatherMask" => each(call, |mask| feather(call, mask)),
        "CropMask" => each(call, |mask| mask.crop(cut(call, mask.width, mask.height))),
        "MaskComposite" => composite(call),
        "MaskToImage" => call.masks("mask").map(|masks| {
            let pictures = masks.iter().map(|mask| Arc::new(Picture::gray(mask))).collect();
            vec![Thing::Pictures(pictures)]
        }),
        "ImageToMask" => call.pictures("image").map(|pictures| {
            let masks = pictures
                .iter()
                .map(|picture| Arc::new(channel(call, picture)))
                .collect();
            vec![Thing::Masks(masks)]
        }),
        _ => return None,
    })
}

fn each(call: &Call<'_>, change: impl Fn(&Mask) -> Mask) -> Outcome {
    let masks = call.masks("mask")?;
    let changed = masks.iter().map(|mask| Arc::new(change(mask))).collect();
    Ok(vec![Thing::Masks(changed)])
}

fn channel(call: &Call<'_>, picture: &Picture) -> Mask {
    match call.text("channel").as_str() {
        "green" => picture.channel(1),
        "blue" => picture.channel(2),
        "alpha" => picture
            .alpha_mask()
            .unwrap_or_else(|| Mask::plain(picture.width, picture.height, 255)),
        _ => picture.channel(0),
    }
}

fn feather(call: &Call<'_>, mask: &Mask) -> Mask {
    let (width, height) = (mask.width, mask.height);
    let sides = ["left", "right", "top", "bottom"].map(|side| call.size(side).min(width.max(height)));
    let mut result = mask.clone();
    let mut y = 0;
    while y < height {
        let mut x = 0;
        while x < width {
            let distances = [x, width - 1 - x, y, height - 1 - y];
            let mut side = 0;
            while side < 4 {
                if distances[side] < sides[side] {
                    let index = (y * width + x) as usize;
                    let value = u32::from(result.data[index]) * (distances[side] + 1) / sides[side];
                    result.data[index] = value.min(255) as u8;
                }
                side += 1;
            }
            x += 1;
        }
        y += 1;
    }
    result
}

fn composite(call: &Call<'_>) -> Outcome {
    let (destinations, sources) = (call.masks("destination")?, call.masks("source")?);
    let operation = call.text("operation");
    let combine = |a: u8, b: u8| match operation.as_str() {
        "multiply" => (u32::from(a) * u32::from(b) / 255) as u8,
        "add" => a.saturating_add(b),
        "subtract" => a.saturating_sub(b),
        "and" => bit(a > 127 && b > 127),
        "or" => bit(a > 127 || b > 127),
        _ => bit((a > 127) != (b > 127)),
    };
    let (x, y) = (call.size("x"), call.size("y"));
    let mut results = Vec::new();
    for (index, destination) in destinations.iter().enumerate() {
        let Some(source) = sources.get(index % sources.len().max(1)) else {
            break;
        };
        let mut result = Mask::clone(destination);
        let mut row = 0;
        while row < source.height && row + y < result.height {
            let mut column = 0;
            while column < source.width && column + x < result.width {
                let to = ((row + y) * result.width + column + x) as usize;
                let from = (row * source.width + column) as usize;
                result.data[to] = combine(result.data[to], source.data[from]);
                column += 1;
            }
            row += 1;
        }
        results.push(Arc::new(result));
    }
    Ok(vec![Thing::Masks(results)])
}

fn bit(set: bool) -> u8 {
    if set { 255 } else { 0 }
}
