//! Painters beside a group of variants.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use model::{TaskId, TaskState};
use serde_json::json;

use crate::studio::{LOOK, Studio, small};

/// Steps of a variant, each of 50 ms.
const STEPS: u32 = 120;

/// The only machine renders a variant; who asks then has the picture before that run would have ended. The group is whole in the end, and
/// costs what its runs took that brought a picture.
pub(crate) async fn a_run_is_taken_back_for_a_painter(studio: Studio) -> Result<()> {
    // The machine comes up, and what a picture takes is learned.
    let first = studio.painter.submit(&small(20, 1)?).await?;
    studio.finish(first).await?;
    let name = format!("director-of-{}", studio.pool);
    let director = studio.stack.seed(&name, studio.pool.as_str()).await?.painter;
    let mut group = small(STEPS, 0)?;
    group["input"]["variants"] = json!({ "seeds": [1, 2] });
    let asked = director.ok("POST", "generate", Some(group.to_string())).await?;
    let variant: TaskId = asked["variants"][0]["id"]
        .as_str()
        .context("the reply has no task")?
        .parse()?;
    let before = studio.until_painting(variant).await?.run.context("no run")?;
    let brush = studio.painter.submit(&small(4, 2)?).await?;
    studio.finish(brush).await?;
    let ended = studio.task(brush).await?.ended_at.context("it never ended")?;
    let would_end = before.claimed_at + Duration::from_millis(50) * STEPS;
    ensure!(ended < would_end, "the run was waited for: {ended:?}, {would_end:?}");
    let path = format!("groups/{}", asked["group"].as_str().context("no group")?);
    let seen = loop {
        let seen = director.ok("GET", &path, None).await?;
        if seen["finished"] == true {
            break seen;
        }
        tokio::time::sleep(LOOK).await;
    };
    ensure!(seen["counts"]["succeeded"] == 2, "{seen}");
    let after = studio.task(variant).await?;
    let run = after.last_run.context("no run brought it")?.run_id;
    ensure!(
        after.state == TaskState::Succeeded && after.preempted == 1 && after.failures == 0 && run != before.run_id,
        "it was not begun anew"
    );
    ensure!(
        after.unpaid_ms == 0 && after.cost <= after.reserved,
        "what was lost is charged"
    );
    Ok(())
}
