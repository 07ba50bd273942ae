//! A session of the plugin, call by call in its order and rhythm, with the headers and bodies that were captured.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use local::painter::{Painter, WIRE_01};
use serde_json::{Value, json};

use crate::studio::Studio;

const WIRE_02: &str = include_str!("../../../workflow/tests/wire/02_refine.json");
/// The plugin waits this long after each status, and after each look for its token.
const AFTER_STATUS: Duration = Duration::from_millis(500);
const AFTER_CONFIRM: Duration = Duration::from_secs(2);

/// From the first start of Krita to a canceled picture.
pub(crate) async fn of_the_plugin(studio: Studio) -> Result<()> {
    let stranger = studio.painter.with_token("");
    let latest = get(&stranger, "plugin/latest?version=1.53.0").await?;
    ensure!(latest == json!({ "version": "1.53.0" }), "{latest}");
    let painter = stranger.with_token(sign_in(&studio, &stranger).await?);
    let user = get(&painter, "user?plugin_version=1.53.0").await?;
    ensure!(
        user["id"].is_string() && user["name"].is_string() && user["credits"].is_u64() && user["images_generated"] == 0,
        "{user}"
    );
    let resources = get(&painter, "plugin/resources").await?;
    ensure!(
        resources["resources"]["upscaler-default-all"].is_string(),
        "{resources}"
    );

    let generate = studio.captured(WIRE_01)?;
    let generated = paint(&painter, &generate).await?;
    let mut refine = studio.captured(WIRE_02)?;
    let object = painter.upload(generated[0].clone()).await?;
    refine["input"]["workflow"]["image_data"] = json!({ "s3_object": object, "offsets": [0] });
    let refined = paint(&painter, &refine).await?;
    ensure!(
        generated.len() == refined.len() && generated[0] != refined[0],
        "refining changed nothing"
    );

    let mut unwanted = generate;
    unwanted["input"]["workflow"]["sampling"]["seed"] = 7.into();
    // Long enough that it is not over when it is canceled.
    unwanted["input"]["workflow"]["sampling"]["total_steps"] = 80.into();
    let job = post(&painter, "generate", &unwanted).await?;
    until(&painter, &job, |word| word != "IN_QUEUE").await?;
    let cancel = format!("cancel/{}/{}", text(&job["worker_id"])?, text(&job["id"])?);
    post(&painter, &cancel, &json!({})).await?;
    let status = until(&painter, &job, |word| word != "IN_PROGRESS").await?;
    ensure!(status["status"] == "CANCELLED", "{status}");

    let user = get(&painter, "user?plugin_version=1.53.0").await?;
    ensure!(user["images_generated"] == generated.len() + refined.len(), "{user}");
    Ok(())
}

async fn sign_in(studio: &Studio, stranger: &Painter) -> Result<String> {
    let client = json!({ "client_id": uuid::Uuid::new_v4() });
    let mut start = client.clone();
    start["client_info"] = "Generative AI for Krita [Device: easel]".into();
    let started = post(stranger, "auth/initiate", &start).await?;
    let early = post(stranger, "auth/confirm", &client).await?;
    ensure!(early == json!({ "status": "not-found" }), "{early}");
    studio
        .approve(&format!("{}{}", stranger.api, text(&started["url"])?))
        .await?;
    tokio::time::sleep(AFTER_CONFIRM).await;
    let confirmed = post(stranger, "auth/confirm", &client).await?;
    ensure!(confirmed["status"] == "authorized", "{confirmed}");
    text(&confirmed["token"]).map(str::to_owned)
}

/// Submits, asks until it is over, and fetches the pictures.
async fn paint(painter: &Painter, request: &Value) -> Result<Vec<Vec<u8>>> {
    let job = post(painter, "generate", request).await?;
    let status = until(painter, &job, |word| !["IN_QUEUE", "IN_PROGRESS"].contains(&word)).await?;
    ensure!(status["status"] == "COMPLETED", "{status}");
    painter.pictures(&status).await
}

/// Asks for the status, as the plugin does at once and then after a while, until its word is as wanted.
async fn until(painter: &Painter, job: &Value, wanted: impl Fn(&str) -> bool) -> Result<Value> {
    let path = format!("status/{}", text(&job["id"])?);
    loop {
        let status = post(painter, &path, &json!({})).await?;
        if wanted(text(&status["status"])?) {
            return Ok(status);
        }
        tokio::time::sleep(AFTER_STATUS).await;
    }
}

async fn get(painter: &Painter, path: &str) -> Result<Value> {
    good(path, painter.call("GET", path, None).await?)
}

async fn post(painter: &Painter, path: &str, body: &Value) -> Result<Value> {
    good(path, painter.call("POST", path, Some(body.to_string())).await?)
}

/// The plugin reads no JSON that does not say that it is JSON.
fn good(path: &str, answer: local::painter::Answer) -> Result<Value> {
    ensure!(
        answer.status == 200 && answer.content_type == "application/json",
        "{path}: {answer:?}"
    );
    Ok(answer.body)
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("{value} is no text"))
}
