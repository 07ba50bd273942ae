//! Requests that are no good.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cloud::{Write, tables::Backlog};
use model::{Millis, PoolId, Usage, UserId};
use serde_json::{Value, json};

use crate::studio::{Studio, small};

pub(crate) async fn refused_in_plain_words(studio: Studio) -> Result<()> {
    let change = |pointer: &str, value: Value| -> Result<String> {
        let mut request = small(4, 1)?;
        *request.pointer_mut(pointer).expect("the request has this") = value;
        Ok(request.to_string())
    };
    let workflow = "/input/workflow";
    let bad = [
        ("malformed", "{ this is no json".to_owned(), "plugin"),
        ("empty", "{}".to_owned(), "plugin"),
        ("too large", "x".repeat(2 * 1024 * 1024), "too large"),
        (
            "unknown model",
            change(&format!("{workflow}/models/checkpoint"), json!("../../secret.ckpt"))?,
            "checkpoint",
        ),
        (
            "other kind",
            change(&format!("{workflow}/kind"), json!("inpaint"))?,
            "inpaint",
        ),
        (
            "unknown kind",
            change(&format!("{workflow}/kind"), json!("sculpt"))?,
            "sculpt",
        ),
        (
            "huge",
            change(&format!("{workflow}/images/extent/initial"), json!([16384, 16384]))?,
            "Validation error",
        ),
        (
            "no steps",
            change(&format!("{workflow}/sampling/total_steps"), json!(0))?,
            "Validation error",
        ),
        (
            "wrong type",
            change(&format!("{workflow}/sampling/total_steps"), json!("many"))?,
            "Validation error",
        ),
    ];
    for (what, body, word) in bad {
        let answer = studio.painter.call("POST", "generate", Some(body)).await?;
        let error = answer.body["error"].as_str().unwrap_or_default();
        ensure!(
            (400..500).contains(&answer.status) && error.contains(word),
            "{what}: {answer:?}"
        );
    }
    let mut someone_elses = small(4, 1)?;
    someone_elses["input"]["workflow"]["kind"] = "refine".into();
    someone_elses["input"]["workflow"]["images"]["initial_image"] = 0.into();
    someone_elses["input"]["workflow"]["image_data"] =
        json!({ "s3_object": uuid::Uuid::new_v4().simple().to_string(), "offsets": [0] });
    let answer = studio
        .painter
        .call("POST", "generate", Some(someone_elses.to_string()))
        .await?;
    ensure!(
        answer.status == 400 && answer.body["error"].is_string(),
        "an upload that is not there: {answer:?}"
    );
    ensure!(
        studio.stack.store().list(Backlog(&studio.pool, 10)).await?.is_empty(),
        "something was queued"
    );
    ensure!(
        studio.until_machines(|_| true).await?.is_empty(),
        "a machine was started"
    );
    Ok(())
}

/// Too many at once, and a pool that is gone.
pub(crate) async fn refused_for_a_while(studio: Studio) -> Result<()> {
    let store = studio.stack.store();
    let user = UserId::new(format!("painter-of-{}", studio.pool));
    let request = small(4, 1)?.to_string();
    let refused = async |status: u16, word: &str| {
        let answer = studio.painter.call("POST", "generate", Some(request.clone())).await?;
        let error = answer.body["error"].as_str().unwrap_or_default();
        ensure!(answer.status == status && error.contains(word), "{answer:?}");
        Ok(())
    };
    let now = cloud::now();
    let mut usage = Usage::new(user.clone(), now.month());
    usage.bucket = now + Duration::from_hours(1);
    store.commit([Write::put(&mut usage)?]).await?;
    refused(429, "too many requests").await?;
    usage.bucket = Millis(0);
    let mut account = store.get(&user).await?.context("no account")?;
    account.pool = PoolId::new("no-such-pool");
    store
        .commit([Write::put(&mut usage)?, Write::put(&mut account)?])
        .await?;
    refused(409, "no-such-pool").await
}

/// An answer was lost, and the client asks again.
pub(crate) async fn sent_twice(studio: Studio) -> Result<()> {
    let mut tasks = Vec::new();
    for _ in 0..2 {
        tasks.push(studio.painter.submit_once(&small(2, 1)?, "the-same-key").await?);
    }
    ensure!(tasks[0] == tasks[1], "one request made two tasks");
    studio.finish(tasks[0]).await?;
    Ok(())
}
