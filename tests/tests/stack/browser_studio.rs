//! The studio's page in a real browser, on the whole stack: for each role, on a phone and on a desk, by keyboard, without
//! scripts, and live with them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use model::{BreakerForce, Role, TaskId, TaskState, UserId};

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
    sign_in(&studio, &mut other, &user).await?;
    ensure!(!other.text().await?.contains("starts paused;"), "it is paused already");
    set_breaker(&studio, Some(BreakerForce::Open)).await?;
    let live = async {
        while !other.text().await?.contains("starts paused;") {
            tokio::time::sleep(LOOK).await;
        }
        Ok::<_, anyhow::Error>(())
    };
    tokio::time::timeout(Duration::from_secs(15), live)
        .await
        .context("the page does not come up to date")??;
    set_breaker(&studio, None).await?;
    // Two seconds after a page is open its socket is, too.
    let open = async {
        while studio
            .stack
            .store()
            .list(cloud::tables::SessionsOf(&UserId::new(&user)))
            .await?
            .is_empty()
        {
            tokio::time::sleep(LOOK).await;
        }
        Ok::<_, anyhow::Error>(())
    };
    tokio::time::timeout(Duration::from_secs(15), open)
        .await
        .context("the page opens no socket")??;
    for task in tasks {
        studio
            .painter
            .call("POST", &format!("cancel/{}/{task}", studio.pool), None)
            .await?;
    }
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

/// The way of a deed by keyboard and without scripts: the link, the question, the button.
async fn deed(page: &mut Page, link: &str, done: &str) -> Result<()> {
    page.evaluate(&format!(
        "[...document.querySelectorAll('a')].find(it => it.innerText.trim() === '{link}').focus()"
    ))
    .await?;
    page.enter().await?;
    let text = page.text().await?;
    ensure!(
        text.contains("Now") && text.contains("Leave it as it is"),
        "{link}: {text}"
    );
    page.evaluate("document.querySelector('button').focus()").await?;
    page.enter().await?;
    let text = page.text().await?;
    ensure!(text.contains(done), "{link}: {text}");
    Ok(())
}

async fn acts(studio: &Studio, page: &mut Page, user: &str) -> Result<()> {
    page.scripts(false).await?;
    sign_in(studio, page, user).await?;
    let store = studio.stack.store();
    deed(page, "Pause starts", "Starts are paused.").await?;
    let forced = store.get(&studio.pool).await?.context("no pool")?.breaker.forced;
    ensure!(forced == Some(BreakerForce::Open), "{forced:?}");
    deed(page, "Resume starts", "Starts go on.").await?;
    deed(page, "Requeue", "The picture is back in line.").await?;
    deed(page, "Stop", "The machine stops; its picture is back in line.").await?;
    let text = page.text().await?;
    for part in ["resume", "requeue", "starts paused", user] {
        ensure!(text.contains(part), "no {part} in {text}");
    }
    let own = store.list(cloud::tables::TasksOf(&UserId::new(user))).await?;
    for task in own {
        let task = store.get(&task.task_id).await?.context("no task")?;
        ensure!(task.state != TaskState::Failed, "{task:?}");
    }
    Ok(())
}
