//! Signing in as the unmodified plugin does, with a browser that is a form.

use anyhow::{Context, Result, ensure};
use local::painter::Answer;
use model::UserId;
use ops::user::Command;
use serde_json::json;

use crate::studio::{Studio, small};

/// The plugin's first session: initiate, confirm until approved, user, resources, a picture.
pub(crate) async fn as_the_plugin_does(studio: Studio) -> Result<()> {
    let plugin = studio.painter.with_token("");
    let client_id = uuid::Uuid::new_v4().to_string();
    let info = "Generative AI for Krita [Device: <script>alert(1)</script>]";
    let start = json!({ "client_id": client_id, "client_info": info }).to_string();
    let confirm = json!({ "client_id": client_id }).to_string();
    let started = plugin.call("POST", "auth/initiate", Some(start)).await?;
    let url = started.body["url"]
        .as_str()
        .context("no url")?
        .trim_start_matches('/')
        .to_owned();
    ensure!(!url.contains(&client_id), "the page's address gives the client id away");
    let early = plugin.call("POST", "auth/confirm", Some(confirm.clone())).await?;
    ensure!(early.body == json!({ "status": "not-found" }), "{early:?}");

    let page = plugin.call("GET", &url, None).await?;
    let text = page.body.as_str().context("the page is no text")?;
    ensure!(
        page.status == 200 && page.content_type.starts_with("text/html"),
        "{page:?}"
    );
    ensure!(
        text.contains("&lt;script&gt;") && !text.contains("<script"),
        "the device's name is not escaped: {text}"
    );

    let code = url.split_once("code=").context("no code")?.1;
    let approve = async |invitation: &str| {
        plugin
            .form("sign-in", &[("code", code), ("invitation", invitation)])
            .await
    };
    let wrong = approve("nobody-was-ever-given-this").await?;
    ensure!(
        wrong.body.as_str().is_some_and(|text| text.contains("not good")),
        "{wrong:?}"
    );
    let user = format!("painter-of-{}", studio.pool);
    let invitation = studio.stack.invite(&user).await?;
    let approved = approve(&invitation).await?;
    ensure!(
        approved.body.as_str().is_some_and(|text| text.contains("signed in")),
        "{approved:?}"
    );
    let again = approve(&invitation).await?;
    ensure!(again.status == 404, "a code was good twice: {again:?}");

    let given = plugin.call("POST", "auth/confirm", Some(confirm.clone())).await?;
    ensure!(given.body["status"] == "authorized", "{given:?}");
    let twice = plugin.call("POST", "auth/confirm", Some(confirm)).await?;
    // Its answer may have been lost: for a moment it is the same again.
    let says =
        |answer: &Answer| -> Option<String> { Some(answer.body["token"].as_str()?.split('.').nth(1)?.to_owned()) };
    ensure!(
        says(&twice).is_some() && says(&twice) == says(&given),
        "another token was handed out: {twice:?}"
    );
    let painter = plugin.with_token(given.body["token"].as_str().context("no token")?);

    let me = painter.call("GET", "user?plugin_version=1.53.0", None).await?;
    ensure!(me.body["id"] == user.as_str() && me.body["credits"].is_u64(), "{me:?}");
    let latest = plugin.call("GET", "plugin/latest?version=1.53.0", None).await?;
    ensure!(latest.body == json!({ "version": "1.53.0" }), "{latest:?}");
    let resources = painter.call("GET", "plugin/resources", None).await?;
    let upscaler = resources.body["resources"]["upscaler-default-all"]
        .as_str()
        .context("no default upscaler")?;
    let upscalers = resources.body["upscalers"].as_array().context("no upscalers")?;
    ensure!(
        upscalers.iter().any(|it| it == upscaler),
        "the default upscaler is not in the list: {resources:?}"
    );
    ensure!(
        resources.body["checkpoints"]["dreamshaper_8.safetensors"]["arch"] == "sd15",
        "{resources:?}"
    );

    let task = painter.submit(&small(2, 1)?).await?;
    loop {
        let status = painter.status(task).await?;
        if status["status"] == "COMPLETED" {
            break;
        }
        ensure!(status["status"] != "FAILED", "{status}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }

    let operator =
        async |command| ops::user::run(studio.stack.store(), studio.stack.sockets(), command, cloud::now()).await;
    let team = studio
        .stack
        .store()
        .get(&UserId::new(&user))
        .await?
        .context("no account")?
        .team;
    let listed = operator(Command::List { team }).await?;
    ensure!(listed.contains(&user), "{listed}");
    let user = UserId::new(&user);
    operator(Command::Revoke { user }).await?;
    let revoked = painter.call("GET", "user", None).await?;
    ensure!(
        revoked.status == 401 && revoked.body["error"].as_str().is_some_and(|it| it.contains("revoked")),
        "{revoked:?}"
    );
    Ok(())
}
