//! A group of variants, in a real browser on the whole stack: its pictures as they come, on a phone and on a desk, without
//! scripts, and its contact sheet.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::{
    browser::{AXE, SEEN, accessible, seen},
    chromium::Page,
    studio::{LOOK, Studio, small},
};

/// Two prompts, three seeds.
const VARIANTS: usize = 6;

pub(crate) async fn shows_the_variants(studio: Studio) -> Result<()> {
    let axe = std::fs::read_to_string(AXE).context("axe-core is not there; .ci/run says how to fetch it")?;
    tokio::fs::create_dir_all(SEEN).await?;
    let user = format!("painter-of-{}", studio.pool);
    let mut request = small(4, 1)?;
    request["input"]["variants"] = json!({ "prompts": ["a fox in the snow", "a fox at night"], "seeds": 3 });
    let asked = studio
        .painter
        .call("POST", "generate", Some(request.to_string()))
        .await?;
    ensure!(asked.status == 200, "{asked:?}");
    let group = asked.body["group"].as_str().context("no group")?;
    let ids = asked.body["variants"].as_array().context("no variants")?;
    ensure!(ids.len() == VARIANTS, "{asked:?}");
    for variant in ids {
        let task = variant["id"].as_str().context("no task")?.parse()?;
        studio.until(task, |task| task.result.is_some()).await?;
    }
    // The stream brings the group's end to the function that draws its sheet.
    let sheet = loop {
        let now = studio.painter.call("GET", &format!("groups/{group}"), None).await?;
        ensure!(now.body["finished"] == true, "{now:?}");
        if let Some(sheet) = now.body["sheet"].as_str() {
            break reqwest::get(sheet).await?.bytes().await?;
        }
        tokio::time::sleep(LOOK).await;
    };
    ensure!(
        sheet.starts_with(b"RIFF") && sheet.get(8..12) == Some(b"WEBP"),
        "the sheet is no WebP"
    );
    tokio::fs::write(seen("group-sheet").with_extension("webp"), &sheet).await?;
    let address = format!("{}/groups/{group}/page", studio.painter.api);
    for (name, width, height) in [("phone", 390, 780), ("desktop", 1280, 1000)] {
        let mut page = Page::open(width, height).await?;
        page.scripts(false).await?;
        page.goto(&studio.stack.studio_link(&user).await?).await?;
        page.evaluate("document.querySelector('button').focus()").await?;
        page.enter().await?;
        page.goto(&address).await?;
        let text = page.text().await?;
        for part in ["6 done", "a fox at night", "All of them as one picture"] {
            ensure!(text.contains(part), "no {part}: {text}");
        }
        let shown = page
            .evaluate("[...document.querySelectorAll('img')].filter(i => i.complete && i.naturalWidth > 0).length")
            .await?;
        ensure!(shown.as_u64() == Some(VARIANTS as u64), "{shown} pictures are shown");
        page.screenshot(&seen(&format!("group-{name}"))).await?;
        compares_two(&mut page, name == "phone").await?;
        page.screenshot(&seen(&format!("group-compared-{name}"))).await?;
        page.scripts(true).await?;
        accessible(&mut page, &format!("{address}?one=0&other=3"), &axe).await?;
        accessible(&mut page, &address, &axe).await?;
    }
    Ok(())
}

/// Two variants without their labels: the first time the visitor is asked, and the second time told what they have said.
async fn compares_two(page: &mut Page, first: bool) -> Result<()> {
    let submit = |what: &str| format!("document.querySelector('{what} button').focus()");
    page.evaluate("document.querySelector('#other').value = '3'").await?;
    page.evaluate(&submit("form.choose")).await?;
    page.enter().await?;
    if first {
        let text = page.text().await?;
        ensure!(text.contains("Which is better?") && !text.contains("a fox"), "{text}");
        page.evaluate(&submit("form[method=post]")).await?;
        page.enter().await?;
    }
    let text = page.text().await?;
    ensure!(
        text.contains("You preferred") && text.contains("a fox at night") && !text.contains("Which is better?"),
        "{text}"
    );
    Ok(())
}
