//! Credits, from the painter's side.

use anyhow::{Context, Result, ensure};
use cloud::Write;
use futures_util::future::try_join_all;
use model::{MicroUsd, TaskState, UserId};
use serde_json::{Value, json};

use crate::studio::{Studio, small};

async fn credits(studio: &Studio) -> Result<u64> {
    let user = studio.painter.call("GET", "user?plugin_version=1.53.0", None).await?;
    user.body["credits"].as_u64().context("no credits")
}

async fn budget(studio: &Studio, credits: u64) -> Result<()> {
    let user = UserId::new(format!("painter-of-{}", studio.pool));
    let mut account = studio.stack.store().get(&user).await?.context("no account")?;
    account.credits = credits;
    Ok(studio.stack.store().commit([Write::put(&mut account)?]).await?)
}

/// What fails or is canceled costs nothing, what comes is paid, and then the budget is gone.
pub(crate) async fn spent_on_pictures_only(studio: Studio) -> Result<()> {
    budget(&studio, 11).await?;
    let mut long = small(800, 1)?;
    long["input"]["workflow"]["batch_count"] = 16.into();
    let told = studio
        .painter
        .call("POST", "admin/cost", Some(long["input"]["workflow"].to_string()))
        .await?;
    ensure!(
        told.status == 200 && told.body == 6 && told.content_type.starts_with("text/plain"),
        "the cost is not told: {told:?}"
    );
    let task = studio.painter.submit(&long).await?;
    ensure!(
        credits(&studio).await? == 5,
        "{} credits are left",
        credits(&studio).await?
    );
    let refused = studio.painter.call("POST", "generate", Some(long.to_string())).await?;
    ensure!(
        refused.status == 402 && refused.body["credits"] == 5 && refused.body["error"].is_string(),
        "not refused: {refused:?}"
    );
    studio.until_painting(task).await?;
    studio.painter.cancel(studio.pool.as_str(), task).await?;
    studio.until(task, |task| task.state == TaskState::Canceled).await?;
    ensure!(credits(&studio).await? == 11, "a canceled task cost something");

    let mut damaged: Value = serde_json::from_str(include_str!("../../../workflow/tests/wire/02_refine.json"))?;
    let object = studio.painter.upload(b"this is no picture at all".to_vec()).await?;
    damaged["input"]["workflow"]["image_data"] = json!({ "s3_object": object, "offsets": [0] });
    let task = studio.painter.submit(&damaged).await?;
    studio.until(task, |task| task.state == TaskState::Failed).await?;
    ensure!(credits(&studio).await? == 11, "a failed task cost something");

    let task = studio.painter.submit(&small(4, 2)?).await?;
    studio.finish(task).await?;
    let task = studio.task(task).await?;
    ensure!(
        task.cost > MicroUsd(0) && task.cost <= task.reserved && credits(&studio).await? == 10,
        "{:?} of {:?} was charged",
        task.cost,
        task.reserved
    );
    Ok(())
}

/// One painter's requests meet on one item of the tables; each is taken in all the same.
pub(crate) async fn twenty_submits_at_once(studio: Studio) -> Result<()> {
    let requests = (0..20).map(|seed| small(1, seed)).collect::<Result<Vec<_>>>()?;
    let submits = requests.iter().map(|request| studio.painter.submit(request));
    let tasks = try_join_all(submits).await?;
    for task in tasks {
        studio.painter.cancel(studio.pool.as_str(), task).await?;
    }
    Ok(())
}
