//! The studio's page in a real browser, on the whole stack: for each role, on a phone and on a desk, by keyboard, without
//! scripts, and live with them.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use model::{BreakerForce, MicroUsd, Role, TaskId, TaskState, UserId};
use serde_json::{Value, json};

use crate::{
    browser::{AXE, SEEN, accessible, seen},
    chromium::Page,
    studio::{LOOK, Studio, small},
};

pub(crate) async fn shows_the_studio(studio: Studio) -> Result<()> {
    let axe = std::fs::read_to_string(AXE).context("axe-core is not there; .ci/run says how to fetch it")?;
    tokio::fs::create_dir_all(SEEN).await?;
    let user = format!("painter-of-{}", studio.pool);
    // A picture that is there, one that is rendered, and some that wait.
    let first = studio.painter.submit(&small(2, 1)?).await?;
    studio.finish(first).await?;
    let mut tasks = vec![studio.painter.submit(&small(200, 2)?).await?];
    for (name, width, height) in [("phone", 390, 780), ("desktop", 1280, 1400)] {
        for role in [Role::Painter, Role::Lead, Role::Operator] {
            if (name, role) == ("desktop", Role::Operator) {
                // ComfyUI would have the same picture at once.
                for seed in 3..8 {
                    tasks.push(studio.painter.submit(&small(800, seed)?).await?);
                }
                rendered(&studio, tasks[1]).await?;
            }
            studio.stack.give_role(&user, role).await?;
            let mut page = Page::open(width, height).await?;
            let kind = format!("{role:?}").to_lowercase();
            let shot = format!("studio-{kind}-{name}");
            looks(&studio, &mut page, &user, role, &shot, width, &axe)
                .await
                .with_context(|| format!("{kind} on a {name}"))?;
        }
    }
    let mut page = Page::open(1280, 860).await?;
    acts(&studio, &mut page, &user).await?;
    // The other operator's browser sees it without being asked.
    let mut other = Page::open(1280, 860).await?;
    listens(&studio, &mut other, &user).await?;
    ensure!(!other.text().await?.contains("starts paused;"), "it is paused already");
    set_breaker(&studio, Some(BreakerForce::Open)).await?;
    let live = async {
        while !other.text().await?.contains("starts paused;") {
            tokio::time::sleep(LOOK).await;
        }
        Ok::<_, anyhow::Error>(())
    };
    // By the clock each five seconds, later after one that was not answered.
    tokio::time::timeout(Duration::from_secs(40), live)
        .await
        .context("the page does not come up to date")??;
    set_breaker(&studio, None).await?;
    for task in tasks {
        studio
            .painter
            .call("POST", &format!("cancel/{}/{task}", studio.pool), None)
            .await?;
    }
    // The last deed is about whoever does it: everything of theirs has ended, and this browser, too.
    let out = ["Sign in to see your studio"];
    deed(&mut page, "Revoke", &[], "Sign out everywhere", &out).await?;
    let refused = studio.painter.call("GET", "user", None).await?;
    ensure!(refused.status == 401, "{refused:?}");
    Ok(())
}

/// Signs in to a page that listens: it asks again for a ticket where it was refused one for a moment, and says something once its
/// socket is open, without which an event on the way meanwhile would have made the stack forget the socket.
async fn listens(studio: &Studio, page: &mut Page, user: &str) -> Result<()> {
    page.call("Network.enable", json!({})).await?;
    let tickets = json!({ "patterns": [{ "urlPattern": "*/studio/ticket" }] });
    page.call("Fetch.enable", tickets).await?;
    sign_in(studio, page, user).await?;
    let asked = page.event("Fetch.requestPaused").await?;
    let refusal = json!({ "requestId": asked["requestId"], "responseCode": 503 });
    page.call("Fetch.fulfillRequest", refusal).await?;
    page.call("Fetch.disable", json!({})).await?;
    let said = page.event("Network.webSocketFrameSent").await?;
    let said: Value = serde_json::from_str(said["response"]["payloadData"].as_str().unwrap_or_default())?;
    ensure!(said == json!({ "action": "ping" }), "{said}");
    page.event("Network.webSocketFrameReceived").await?;
    let sessions = studio
        .stack
        .store()
        .list(cloud::tables::SessionsOf(&UserId::new(user)))
        .await?;
    ensure!(!sessions.is_empty(), "the page opens no socket");
    Ok(())
}

/// Waits until a machine renders the task.
async fn rendered(studio: &Studio, task: TaskId) -> Result<()> {
    let store = studio.stack.store();
    while store.get(&task).await?.is_none_or(|it| it.run.is_none()) {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

async fn set_breaker(studio: &Studio, forced: Option<BreakerForce>) -> Result<()> {
    let store = studio.stack.store();
    loop {
        let mut pool = store.get(&studio.pool).await?.context("no pool")?;
        pool.breaker.forced = forced;
        match store.commit([cloud::Write::put(&mut pool)?]).await {
            Err(cloud::StoreError::Conflict) => {}
            done => return Ok(done?),
        }
    }
}

/// By the link that the local stack prints: one button.
async fn sign_in(studio: &Studio, page: &mut Page, user: &str) -> Result<()> {
    page.goto(&studio.stack.studio_link(user).await?).await?;
    page.evaluate("document.querySelector('button').focus()").await?;
    page.enter().await?;
    let text = page.text().await?;
    ensure!(text.contains("Your pictures in line"), "{text}");
    Ok(())
}

async fn looks(
    studio: &Studio,
    page: &mut Page,
    user: &str,
    role: Role,
    name: &str,
    width: u32,
    axe: &str,
) -> Result<()> {
    page.scripts(false).await?;
    sign_in(studio, page, user).await?;
    let text = page.text().await?;
    let operates = role == Role::Operator;
    for (part, shown) in [
        ("Your last pictures", true),
        ("Team team-of-", role != Role::Painter),
        ("In line", role != Role::Painter),
        ("Machines", operates),
        ("Pause starts", operates),
        ("Starts and stops of the day", operates),
    ] {
        ensure!(text.contains(part) == shown, "{part}: {text}");
    }
    let loaded = page
        .evaluate("(i => i.complete && i.naturalWidth)(document.querySelector('.pictures img'))")
        .await?;
    ensure!(loaded.as_u64() > Some(0), "the picture is not shown: {loaded}");
    page.screenshot(&seen(name)).await?;
    // A phone lays a page out as wide as it has to.
    let wide = page.evaluate("document.documentElement.scrollWidth").await?;
    ensure!(wide.as_u64() <= Some(width.into()), "{wide} pixels wide");
    let address = format!("{}/studio", studio.painter.api);
    page.scripts(true).await?;
    accessible(page, &address, axe).await?;
    if operates {
        accessible(page, &format!("{address}/audit"), axe).await?;
        for deed in ["pause", "limits"] {
            accessible(page, &format!("{address}/act?do={deed}&pool={}", studio.pool), axe).await?;
        }
    }
    Ok(())
}

/// Most things on a page that a key goes to, one after the other.
const TABS: usize = 300;

/// Goes by the keyboard to what is called so.
async fn tab_to(page: &mut Page, name: &str) -> Result<()> {
    for _ in 0..TABS {
        page.press("Tab").await?;
        if page.focused().await?.trim() == name {
            return Ok(());
        }
    }
    bail!("no key leads to {name}: {}", page.text().await?)
}

/// The way of a deed by keyboard and without scripts: the link, the question, what has to be said, the button. What the page says
/// then is one of these.
async fn deed(page: &mut Page, link: &str, fields: &[(&str, &str)], button: &str, done: &[&str]) -> Result<()> {
    tab_to(page, link).await?;
    page.enter().await?;
    let text = page.text().await?;
    ensure!(
        text.contains("Now") && text.contains("Leave it as it is"),
        "{link}: {text}"
    );
    for (label, value) in fields {
        tab_to(page, label).await?;
        page.type_text(value).await?;
    }
    tab_to(page, button).await?;
    page.enter().await?;
    let text = page.text().await?;
    ensure!(done.iter().any(|it| text.contains(it)), "{link}: {text}");
    Ok(())
}

async fn acts(studio: &Studio, page: &mut Page, user: &str) -> Result<()> {
    page.scripts(false).await?;
    sign_in(studio, page, user).await?;
    let store = studio.stack.store();
    let pool = async || store.get(&studio.pool).await?.context("no pool");
    deed(page, "Pause starts", &[], "Pause starts", &["Starts are paused."]).await?;
    let forced = pool().await?.breaker.forced;
    ensure!(forced == Some(BreakerForce::Open), "{forced:?}");
    deed(page, "Resume starts", &[], "Resume starts", &["Starts go on."]).await?;
    let limits = [
        ("Most machines at once", "3"),
        ("US$ a month at most; empty for no limit", "500"),
    ];
    deed(
        page,
        "Limits",
        &limits,
        "Change the limits",
        &["The limits are changed."],
    )
    .await?;
    let limited = pool().await?;
    ensure!(
        (limited.max_workers, limited.monthly_limit) == (3, Some(MicroUsd(500_000_000))),
        "{limited:?}"
    );
    let lifted = ["The limit is lifted until the month ends."];
    deed(page, "Lift the limit", &[], "Lift the limit", &lifted).await?;
    ensure!(pool().await?.meter.lifted, "the limit is not lifted");
    deed(page, "Let the limit hold", &[], "Let it hold", &["The limit holds."]).await?;
    ensure!(!pool().await?.meter.lifted, "the limit is still lifted");
    deed(page, "Requeue", &[], "Send it back", &["The picture is back in line."]).await?;
    let drained = ["The machine stops once it has nothing to do."];
    deed(page, "Drain", &[], "Drain it", &drained).await?;
    let kept = ["The machine stays as long as it is needed."];
    deed(page, "Keep", &[], "Keep it", &kept).await?;
    deed(page, "Cancel", &[], "Cancel it", &["The picture is canceled."]).await?;
    let stopped = ["The machine stops; its picture is back in line."];
    deed(page, "Stop", &[], "Stop it now", &stopped).await?;
    // Pictures wait, so one may be on its way by itself.
    let woken = [
        "A machine is asked for; it takes one or two minutes.",
        "It was so already; nothing was to be done.",
    ];
    deed(page, "Wake a machine", &[], "Wake a machine", &woken).await?;
    let credits = [("Credits of each month; a credit is US$ 0.001 of GPU time", "12345")];
    deed(
        page,
        "Budget",
        &credits,
        "Change the budget",
        &["The budget is changed."],
    )
    .await?;
    let account = store.get(&UserId::new(user)).await?.context("no account")?;
    ensure!(account.credits == 12345, "{account:?}");
    let shown = ["shown only here and now"];
    deed(page, "Invite", &[], "Make an invitation", &shown).await?;
    for link in ["Back to the studio", "All of it"] {
        tab_to(page, link).await?;
        page.enter().await?;
    }
    let text = page.text().await?;
    for part in [
        "limits", "lift", "hold", "keep", "cancel", "stop", "budget", "invite", user,
    ] {
        ensure!(text.contains(part), "no {part} in {text}");
    }
    tab_to(page, "Back to the studio").await?;
    page.enter().await?;
    let own = store.list(cloud::tables::TasksOf(&UserId::new(user))).await?;
    for task in own {
        let task = store.get(&task.task_id).await?.context("no task")?;
        ensure!(task.state != TaskState::Failed, "{task:?}");
    }
    Ok(())
}
