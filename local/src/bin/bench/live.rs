//! What the plugin sees: a picture for each brush stroke in live mode, and ordinary pictures on a warm machine, one after the
//! other, asked for as it does.

use std::{
    io::Cursor,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use image::{ImageFormat, Rgb, RgbImage};
use local::{
    Options, Renderer, Stack,
    painter::{Painter, WIRE_01},
};
use serde_json::{Value, json};

use crate::{bill::bill, median};

const WIRE_02: &str = include_str!("../../../../workflow/tests/wire/02_refine.json");

/// The plugin sleeps so long after every answer to `status`, the last one too.
const PLUGIN_SLEEP: Duration = Duration::from_millis(500);
/// Steps of a stroke that are skipped and steps that are sampled.
const STEPS: (u32, u32) = (4, 4);
/// A step of the stand-in: four of them take about what a small GPU needs for a live picture.
const STEP: Duration = Duration::from_millis(150);
/// The same for an ordinary picture of twenty steps on a fast one.
const FAST_STEP: Duration = Duration::from_millis(23);
/// Side of the canvas, pixels.
const SIDE: u32 = 512;

/// One picture's times, milliseconds.
struct Shown {
    upload: f64,
    seen: f64,
    execute: f64,
    fetch: f64,
}

/// Pictures with polls only and with calls that are kept open, each on a stack of its own.
#[expect(clippy::print_stdout, reason = "the table is this command's result")]
pub(crate) async fn measure(strokes: usize, comfyui: Option<String>) -> Result<()> {
    println!(
        "| median of {strokes} | upload | submit to COMPLETED acted on | ComfyUI | our side adds | fetch | HTTP requests | price |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (name, settings, live) in [
        ("strokes, polls only", "hold=0s", true),
        ("strokes, calls kept open", "", true),
        ("pictures, polls only", "hold=0s", false),
        ("pictures, calls kept open", "", false),
    ] {
        let renderer = comfyui.clone().map_or(
            Renderer::StandIn {
                step_delay: if live { STEP } else { FAST_STEP },
                load_delay: Duration::ZERO,
            },
            |url| Renderer::ComfyUi { url, models: None },
        );
        let options = Options {
            renderer,
            settings: settings.to_owned(),
            ..Options::default()
        };
        let stack = Stack::start(options, |_| ()).await?;
        let painter = stack.seed("painter", "pool").await?.painter;
        // The first two wake the machine and fill every cache.
        for number in 0..2 {
            picture(&painter, number, live).await?;
        }
        let before = stack.counts().await?;
        let mut all = Vec::new();
        for number in 2..2 + strokes {
            all.push(picture(&painter, u32::try_from(number)?, live).await?);
        }
        let bill = bill(&before, &stack.counts().await?);
        stack.stop().await;
        let of = |of: fn(&Shown) -> f64| median(all.iter().map(of));
        let each = |sum: f64| sum / strokes as f64;
        println!(
            "| {name} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} | ${:.6} |",
            of(|it| it.upload),
            of(|it| it.seen),
            of(|it| it.execute),
            of(|it| it.seen - it.execute),
            of(|it| it.fetch),
            each(bill.http),
            each(bill.dollars)
        );
    }
    Ok(())
}

async fn picture(painter: &Painter, number: u32, live: bool) -> Result<Shown> {
    let started = Instant::now();
    let request = if live {
        stroke(painter, number).await?
    } else {
        ordinary(number)?
    };
    let upload = started.elapsed();
    let started = Instant::now();
    let mut answer = painter.ok("POST", "generate", Some(request.to_string())).await?;
    let task = answer["id"].as_str().context("the reply has no id")?.parse()?;
    while answer["status"] != "COMPLETED" {
        answer = painter.status(task).await?;
        anyhow::ensure!(
            ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"].contains(&answer["status"].as_str().unwrap_or_default()),
            "no picture: {answer}"
        );
        tokio::time::sleep(PLUGIN_SLEEP).await;
    }
    let seen = started.elapsed();
    let started = Instant::now();
    painter.pictures(&answer).await?;
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    Ok(Shown {
        upload: ms(upload),
        seen: ms(seen),
        execute: answer["times"]["execute_ms"]
            .as_f64()
            .context("the reply has no times")?,
        fetch: ms(started.elapsed()),
    })
}

/// What live mode asks for: the canvas is uploaded first.
async fn stroke(painter: &Painter, number: u32) -> Result<Value> {
    let mut request: Value = serde_json::from_str(WIRE_02)?;
    let object = painter.upload(canvas(number)?).await?;
    let workflow = &mut request["input"]["workflow"];
    workflow["batch_count"] = 1.into();
    workflow["sampling"]["start_step"] = STEPS.0.into();
    workflow["sampling"]["total_steps"] = (STEPS.0 + STEPS.1).into();
    workflow["image_data"] = json!({ "s3_object": object, "offsets": [0] });
    Ok(request)
}

/// One picture of twenty steps from text.
fn ordinary(number: u32) -> Result<Value> {
    let mut request: Value = serde_json::from_str(WIRE_01)?;
    request["input"]["workflow"]["batch_count"] = 1.into();
    request["input"]["workflow"]["sampling"]["seed"] = number.into();
    Ok(request)
}

/// A canvas with one more stroke than the one before.
fn canvas(strokes: u32) -> Result<Vec<u8>> {
    let picture = RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let painted = y / 8 <= strokes && x > y;
        Rgb(if painted {
            [200, 40, 40]
        } else {
            [(x / 2) as u8, (y / 2) as u8, 90]
        })
    });
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}
