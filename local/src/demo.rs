//! The first thing that anybody runs: a captured request of the real plugin becomes a picture.

use std::{path::Path, time::Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{
    painter::{Painter, WIRE_01},
    watch::{times, watch},
};

/// Sends the request, shows it being rendered, and writes the first picture.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub async fn paint(painter: &Painter, out: &Path, quick: bool) -> Result<()> {
    let mut request: Value = serde_json::from_str(WIRE_01).context("the captured request is damaged")?;
    if quick {
        shrink(&mut request);
        println!("Sending a request of the Krita plugin, made small: one picture of a red square.");
    } else {
        println!("Sending a captured request of the Krita plugin: eight pictures of a red square.");
    }
    let started = Instant::now();
    let task = painter.submit(&request).await?;
    let submitted = started.elapsed();
    let watched = watch(painter, task, started).await?;
    let pictures = painter.pictures(&watched.completed).await?;
    let first = pictures.first().context("there is no picture")?;
    std::fs::write(out, first).with_context(|| format!("{} cannot be written", out.display()))?;
    println!("  {:>8.2} s  accepted as task {task}", submitted.as_secs_f64());
    for (stage, at) in &watched.stages {
        println!("  {:>8.2} s  {stage}", at.as_secs_f64());
    }
    println!(
        "  {:>8.2} s  done: {} pictures",
        watched.total.as_secs_f64(),
        pictures.len()
    );
    let times = times(&watched.completed)?;
    println!(
        "On the worker: inputs {} ms, ComfyUI {} ms, upload {} ms.",
        times.fetch, times.execute, times.upload
    );
    println!("The first picture is in {}.", out.display());
    Ok(())
}

/// Little enough for a ComfyUI without a GPU.
fn shrink(request: &mut Value) {
    let workflow = &mut request["input"]["workflow"];
    for extent in ["input", "initial", "desired", "target"] {
        workflow["images"]["extent"][extent] = json!([256, 256]);
    }
    workflow["sampling"]["total_steps"] = 4.into();
    workflow["batch_count"] = 1.into();
}
