//! How a document came to be, in a real browser on the whole stack: recorded as a painter agreed, seen by the team's lead on a
//! phone and on a desk, without scripts, taken along as a file and as a time-lapse.

use anyhow::{Context, Result, ensure};
use image::{AnimationDecoder, codecs::png::PngDecoder};
use model::Role;
use serde_json::{Value, json};

use crate::{
    browser::{AXE, SEEN, accessible, seen},
    chromium::Page,
    studio::Studio,
};

const DOCUMENT: &str = "harbour-1";

/// A refine of this colour, for the document.
async fn refine(studio: &Studio, colour: [u8; 3], seed: u32) -> Result<Value> {
    let mut request: Value = serde_json::from_str(include_str!("../../../workflow/tests/wire/02_refine.json"))?;
    let mut png = std::io::Cursor::new(Vec::new());
    let sketch = image::RgbImage::from_fn(512, 512, |x, y| {
        image::Rgb(colour.map(|it| if (x / 64 + y / 64) % 2 == 0 { it } else { 235 }))
    });
    sketch.write_to(&mut png, image::ImageFormat::Png)?;
    let object = studio.painter.upload(png.into_inner()).await?;
    let workflow = &mut request["input"]["workflow"];
    workflow["batch_count"] = 2.into();
    workflow["sampling"]["seed"] = seed.into();
    workflow["image_data"] = json!({ "s3_object": object, "offsets": [0] });
    request["input"]["options"]["document"] = DOCUMENT.into();
    Ok(request)
}

pub(crate) async fn shows_the_history(studio: Studio) -> Result<()> {
    let axe = std::fs::read_to_string(AXE).context("axe-core is not there; .ci/run says how to fetch it")?;
    tokio::fs::create_dir_all(SEEN).await?;
    let user = format!("painter-of-{}", studio.pool);
    let path = format!("history/{DOCUMENT}");
    // One before she agrees: it is in no history.
    let task = studio.painter.submit(&refine(&studio, [90, 90, 90], 1).await?).await?;
    studio.finish(task).await?;
    let body = json!({ "recording": true, "name": "The harbour" }).to_string();
    let switched = studio.painter.call("PUT", &path, Some(body)).await?;
    ensure!(switched.status == 200, "{switched:?}");
    for (seed, colour) in [(2, [200, 60, 30]), (3, [40, 90, 190]), (4, [60, 150, 80])] {
        let task = studio.painter.submit(&refine(&studio, colour, seed).await?).await?;
        studio.finish(task).await?;
        let body = json!({ "picture": 1 }).to_string();
        let applied = studio
            .painter
            .call("POST", &format!("tasks/{task}/applied"), Some(body))
            .await?;
        ensure!(applied.body["recorded"] == true, "{applied:?}");
    }
    let history = studio.painter.call("GET", &path, None).await?;
    let steps = history.body["history"].as_array().context("no steps")?;
    ensure!(steps.len() == 3, "{} steps", steps.len());
    for step in steps {
        ensure!(
            step["input"].is_string() && step["results"].as_array().is_some_and(|it| it.len() == 2),
            "a step without its small pictures: {step}"
        );
    }
    studio.stack.give_role(&user, Role::Lead).await?;
    let studio_page = format!("{}/studio", studio.painter.api);
    let steps = format!("{studio_page}/history/steps?of={user}&document={DOCUMENT}");
    for (name, width, height) in [("phone", 390, 780), ("desktop", 1280, 1400)] {
        let mut page = Page::open(width, height).await?;
        page.scripts(false).await?;
        page.goto(&studio.stack.studio_link(&user).await?).await?;
        page.evaluate("document.querySelector('button').focus()").await?;
        page.enter().await?;
        page.goto(&format!("{studio_page}/history")).await?;
        let text = page.text().await?;
        for part in ["The harbour", "is recorded", "Your team’s documents", "3 steps"] {
            ensure!(text.contains(part), "no {part}: {text}");
        }
        page.screenshot(&seen(&format!("history-{name}"))).await?;
        page.goto(&steps).await?;
        let text = page.text().await?;
        ensure!(
            text.contains("taken") && text.contains("was put into the document"),
            "{text}"
        );
        let shown = page
            .evaluate("[...document.querySelectorAll('img')].filter(i => i.complete && i.naturalWidth > 0).length")
            .await?;
        ensure!(shown.as_u64() == Some(9), "{shown} pictures are shown");
        page.screenshot(&seen(&format!("history-steps-{name}"))).await?;
        page.scripts(true).await?;
        accessible(&mut page, &format!("{studio_page}/history"), &axe).await?;
        accessible(&mut page, &steps, &axe).await?;
        // What is taken along, as the browser gets it.
        let file = fetched(
            &mut page,
            &format!("{studio_page}/history/export?of={user}&document={DOCUMENT}&form=html"),
        )
        .await?;
        ensure!(
            String::from_utf8_lossy(&file).matches("data:image/webp").count() == 9,
            "the file is not whole"
        );
        let lapse = fetched(
            &mut page,
            &format!("{studio_page}/history/export?of={user}&document={DOCUMENT}&form=apng"),
        )
        .await?;
        let frames = PngDecoder::new(std::io::Cursor::new(lapse))?
            .apng()?
            .into_frames()
            .collect_frames()?;
        ensure!(frames.len() == 3, "{} frames", frames.len());
    }
    let deleted = studio.painter.call("DELETE", "history", None).await?;
    ensure!(deleted.status == 200, "{deleted:?}");
    ensure!(
        studio.painter.call("GET", &path, None).await?.status == 404,
        "it is still there"
    );
    Ok(())
}

/// What an address gives to whoever has the cookies of this browser: its pages may fetch nothing themselves.
async fn fetched(page: &mut Page, address: &str) -> Result<Vec<u8>> {
    let found = page.call("Network.getCookies", json!({ "urls": [address] })).await?;
    let cookies = found["cookies"].as_array().context("no cookies")?.iter();
    let pair = |it: &Value| Some(format!("{}={}", it["name"].as_str()?, it["value"].as_str()?));
    let cookies: Vec<_> = cookies.filter_map(pair).collect();
    let client = reqwest::Client::new();
    let answer = client.get(address).header("cookie", cookies.join("; ")).send().await?;
    ensure!(answer.status() == 200, "{address}: {}", answer.status());
    Ok(answer.bytes().await?.to_vec())
}
