//! The web pages in a real browser: on a phone and on a desk, by keyboard, without scripts, for every eye.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use cloud::{Write, tables::SignInOf};
use local::painter::Painter;
use serde_json::{Value, json};

use crate::{
    chromium::Page,
    studio::{Studio, small},
};

/// Checks a page for accessibility. `.ci/run` fetches it from npm, since its licence is not ours.
pub(crate) const AXE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../.atelier/axe/package/axe.min.js");
/// Where what was seen is left for people to look at.
pub(crate) const SEEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../.atelier/screenshots");

pub(crate) async fn signs_in(studio: Studio) -> Result<()> {
    let axe = std::fs::read_to_string(AXE).context("axe-core is not there; .ci/run says how to fetch it")?;
    tokio::fs::create_dir_all(SEEN).await?;
    for (name, width, height) in [("phone", 390, 780), ("desktop", 1280, 860)] {
        let mut page = Page::open(width, height).await?;
        with_an_invitation(&studio, &mut page, name, &axe)
            .await
            .with_context(|| format!("on a {name}"))?;
    }
    Ok(())
}

async fn with_an_invitation(studio: &Studio, page: &mut Page, name: &str, axe: &str) -> Result<()> {
    let plugin = studio.painter.with_token("");
    let device = format!("a-device-{name}-{}", uuid::Uuid::new_v4());
    let start = json!({ "client_id": device, "client_info": "Generative AI for Krita [Device: Mara’s tablet]" });
    let started = plugin.call("POST", "auth/initiate", Some(start.to_string())).await?;
    let url = started.body["url"].as_str().context("no url")?;
    let address = format!("{}{url}", plugin.api);

    accessible(page, &address, axe).await?;
    page.scripts(false).await?;
    page.goto(&address).await?;
    let text = page.text().await?;
    ensure!(
        text.contains("Mara’s tablet") && !text.contains("another network"),
        "{text}"
    );
    page.screenshot(&seen(&format!("sign-in-{name}"))).await?;

    // By keyboard alone: the field, then the button.
    page.press("Tab").await?;
    ensure!(page.focused().await? == "Your invitation", "{}", page.focused().await?);
    page.type_text("aaaaaa-bbbbbb-cccccc-dddddd").await?;
    page.enter().await?;
    let text = page.text().await?;
    ensure!(text.contains("This invitation is not good"), "{text}");
    page.screenshot(&seen(&format!("sign-in-{name}-wrong"))).await?;

    // The same sign-in, as if it had been started somewhere else.
    let store = studio.stack.store();
    let code = url.split_once("code=").context("no code")?.1;
    let sign_in = store.get(&SignInOf(code.to_owned())).await?;
    let mut sign_in = sign_in.context("no sign-in")?;
    "198.51.100.9".clone_into(&mut sign_in.address);
    store.commit([Write::put(&mut sign_in)?]).await?;
    page.scripts(true).await?;
    accessible(page, &address, axe).await?;
    page.scripts(false).await?;
    page.goto(&address).await?;
    let text = page.text().await?;
    ensure!(
        text.contains("started from another network") && text.contains("198.51.100.9"),
        "{text}"
    );
    page.screenshot(&seen(&format!("sign-in-{name}-elsewhere"))).await?;

    let invitation = studio.stack.invite(&format!("painter-of-{}", studio.pool)).await?;
    page.press("Tab").await?;
    page.type_text(&invitation).await?;
    page.press("Tab").await?;
    let focused = page.focused().await?;
    ensure!(focused.contains("Keep me signed in here"), "{focused}");
    page.press(" ").await?;
    page.press("Tab").await?;
    ensure!(page.focused().await? == "Yes, let it in", "{}", page.focused().await?);
    page.enter().await?;
    let text = page.text().await?;
    ensure!(text.contains("You are signed in"), "{text}");
    page.screenshot(&seen(&format!("sign-in-{name}-done"))).await?;

    let confirm = json!({ "client_id": device }).to_string();
    let given = plugin.call("POST", "auth/confirm", Some(confirm)).await?;
    let token = given.body["token"].as_str().context("no token")?;
    let user = plugin.with_token(token).call("GET", "user", None).await?;
    ensure!(user.status == 200, "{user:?}");
    sees_the_account(page, &plugin.with_token(token), name, axe).await
}

/// What the plugin's links lead to, in the browser that stayed signed in.
async fn sees_the_account(page: &mut Page, painter: &Painter, name: &str, axe: &str) -> Result<()> {
    let task = painter.submit(&small(2, 1)?).await?;
    while painter.status(task).await?["status"] != "COMPLETED" {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    page.scripts(true).await?;
    for (link, title) in [
        ("", "Atelier"),
        ("/checkout/tokens500", "More credits"),
        ("/user", "Your account"),
    ] {
        let address = format!("{}{link}", painter.api);
        accessible(page, &address, axe).await?;
        let shown = page.evaluate("document.querySelector('h1').innerText").await?;
        ensure!(shown == title, "{link}: {shown}");
    }
    page.scripts(false).await?;
    let text = page.text().await?;
    for part in ["Mara’s tablet", "credits", "1 picture"] {
        ensure!(text.contains(part), "no {part} in {text}");
    }
    page.screenshot(&seen(&format!("account-{name}"))).await?;
    // The link of the newest picture leads to it.
    let link = page.evaluate("document.querySelector('a[download]').href").await?;
    let blob = reqwest::get(link.as_str().context("no link")?).await?.bytes().await?;
    ensure!(image::load_from_memory(&blob).is_ok(), "the link leads to no picture");

    page.evaluate("document.querySelector('button.small').focus()").await?;
    page.enter().await?;
    let text = page.text().await?;
    ensure!(
        text.contains("Your account") && !text.contains("Mara’s tablet"),
        "{text}"
    );
    let user = painter.call("GET", "user", None).await?;
    ensure!(user.status == 401, "{user:?}");
    Ok(())
}

/// Nothing that axe finds fault with, in light and dark, and nothing to scroll sideways for.
pub(crate) async fn accessible(page: &mut Page, address: &str, axe: &str) -> Result<()> {
    for scheme in ["light", "dark"] {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        page.call("Emulation.setEmulatedMedia", media).await?;
        page.goto(address).await?;
        page.evaluate(axe).await?;
        let found = page
            .evaluate("axe.run().then(it => ({ passes: it.passes.length, violations: it.violations }))")
            .await?;
        ensure!(found["passes"].as_u64() > Some(10), "axe looked at nothing: {found}");
        ensure!(found["violations"] == Value::Array(Vec::new()), "{scheme}: {found:#}");
        let wide = page
            .evaluate("document.documentElement.scrollWidth - innerWidth")
            .await?;
        // Less where a bar to scroll down takes its part.
        ensure!(wide.as_i64().is_some_and(|it| it <= 0), "{wide} pixels too wide");
    }
    page.call("Emulation.setEmulatedMedia", json!({ "features": [] }))
        .await
        .map(drop)
}

pub(crate) fn seen(name: &str) -> PathBuf {
    Path::new(SEEN).join(format!("{name}.png"))
}
