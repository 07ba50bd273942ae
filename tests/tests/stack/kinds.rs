//! The captured requests of every kind, as the plugin sent them, through the whole stack.

use anyhow::{Context, Result, ensure};
use image::{Rgb, RgbImage};
use model::TaskState;
use serde_json::{Value, json};

use crate::studio::Studio;

/// A captured request, the sides of its pictures (the first is the canvas, the others are masks), and of what comes back.
struct Wire {
    request: &'static str,
    pictures: &'static [u32],
    side: u32,
    /// Where in the result the selection's middle lies, for results that have an alpha.
    selected: Option<u32>,
}

macro_rules! wire {
    ($name:literal) => {
        include_str!(concat!("../../../workflow/tests/wire/", $name, ".json"))
    };
}

/// 09 asks for what no stack here has.
const WIRES: [Wire; 8] = [
    Wire {
        request: wire!("01_generate"),
        pictures: &[],
        side: 512,
        selected: None,
    },
    Wire {
        request: wire!("02_refine"),
        pictures: &[512],
        side: 512,
        selected: None,
    },
    Wire {
        request: wire!("03_inpaint"),
        pictures: &[512, 512],
        side: 304,
        selected: Some(105),
    },
    Wire {
        request: wire!("04_refine_region"),
        pictures: &[272, 272],
        side: 272,
        selected: Some(81),
    },
    Wire {
        request: wire!("05_inpaint"),
        pictures: &[512, 512, 512, 512],
        side: 256,
        selected: Some(153),
    },
    Wire {
        request: wire!("06_upscale_tiled"),
        pictures: &[512],
        side: 1024,
        selected: None,
    },
    Wire {
        request: wire!("07_upscale_simple"),
        pictures: &[1024],
        side: 2048,
        selected: None,
    },
    Wire {
        request: wire!("08_control_image"),
        pictures: &[512],
        side: 512,
        selected: None,
    },
];

pub(crate) async fn as_captured(studio: Studio) -> Result<()> {
    // A real ComfyUI as it comes has nothing that detects poses.
    let painted = if studio.real { 7 } else { 8 };
    for wire in &WIRES[..painted] {
        let mut request = studio.captured(wire.request)?;
        let workflow = &mut request["input"]["workflow"];
        let kind = workflow["kind"].to_string();
        let count = workflow["batch_count"].as_u64().unwrap_or(1) as usize;
        // A tile of 1024×1024 takes minutes without a GPU.
        let halved = studio.real && workflow["kind"] == "upscale_tiled";
        if halved {
            workflow["images"]["extent"] =
                json!({ "input": [256, 256], "initial": [512, 512], "desired": [336, 336], "target": [512, 512] });
        }
        let smaller = if halved { 2 } else { 1 };
        let (mut blob, mut offsets) = (Vec::new(), Vec::new());
        for (index, side) in wire.pictures.iter().map(|side| side / smaller).enumerate() {
            offsets.push(blob.len());
            blob.extend(if index == 0 { canvas(side) } else { mask(side) }?);
        }
        if !blob.is_empty() {
            let object = studio.painter.upload(blob).await?;
            workflow["image_data"] = json!({ "s3_object": object, "offsets": offsets });
        }
        let task = studio.painter.submit(&request).await.with_context(|| kind.clone())?;
        let pictures = studio
            .painter
            .pictures(&studio.finish(task).await.with_context(|| kind.clone())?)
            .await?;
        ensure!(pictures.len() == count, "{kind}: {} pictures", pictures.len());
        for picture in &pictures {
            let picture = image::load_from_memory_with_format(picture, image::ImageFormat::Png)?;
            let got = (
                picture.width() * smaller,
                picture.height() * smaller,
                picture.color().has_alpha(),
            );
            ensure!(
                got == (wire.side, wire.side, wire.selected.is_some()),
                "{kind}: {got:?}"
            );
            let (least, most) = picture
                .to_rgb8()
                .iter()
                .fold((255, 0), |(least, most), it| (least.min(*it), most.max(*it)));
            ensure!(most - least > 20, "{kind}: a picture of one colour");
            if let Some(at) = wire.selected {
                // Nothing outside of the selection is painted over, and inside it everything is.
                let picture = picture.to_rgba8();
                let alpha = |at: u32| picture.get_pixel(at, at).0[3];
                let (corner, middle) = (alpha(wire.side - 1), alpha(at));
                ensure!(
                    corner == 0 && middle == 255,
                    "{kind}: alpha {corner} in the corner, {middle} in the middle"
                );
            }
        }
    }
    // What nothing here can do is refused at once, in words that name it.
    let refused = [
        (wire!("09_control_layers_lora"), "content filter"),
        (WIRES[7].request, "pose"),
    ];
    for (wire, word) in &refused[..if studio.real { 2 } else { 1 }] {
        let request = studio.captured(wire)?.to_string();
        let answer = studio.painter.call("POST", "generate", Some(request)).await?;
        let error = answer.body["error"].as_str().unwrap_or_default();
        ensure!(answer.status == 400 && error.contains(word), "{answer:?}");
    }
    Ok(())
}

/// A selection that is no picture of the right size is the painter's, not the machine's, and is found before ComfyUI.
pub(crate) async fn with_a_mask_of_another_size(studio: Studio) -> Result<()> {
    let mut request: Value = serde_json::from_str(wire!("03_inpaint"))?;
    let (canvas, mask) = (canvas(512)?, mask(100)?);
    let offsets = [0, canvas.len()];
    let object = studio.painter.upload([canvas, mask].concat()).await?;
    request["input"]["workflow"]["image_data"] = json!({ "s3_object": object, "offsets": offsets });
    let task = studio.painter.submit(&request).await?;
    let failed = studio.until(task, |task| task.state == TaskState::Failed).await?;
    ensure!(failed.failures == 0, "it counted as an infrastructure failure");
    Ok(())
}

fn png(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

fn canvas(side: u32) -> Result<Vec<u8>> {
    png(&RgbImage::from_fn(side, side, |x, y| {
        Rgb([(x * 255 / side) as u8, (y * 255 / side) as u8, 120])
    }))
}

/// A white square around the middle of the canvas's upper left part, where every captured selection lies.
fn mask(side: u32) -> Result<Vec<u8>> {
    let (from, to) = (side / 5, side * 2 / 5);
    let inside = |at: u32| (from..to).contains(&at);
    png(&RgbImage::from_fn(side, side, |x, y| {
        if inside(x) && inside(y) {
            Rgb([255; 3])
        } else {
            Rgb([0; 3])
        }
    }))
}
