//! From a request to pictures.

use anyhow::{Result, ensure};
use model::{Settings, TaskState, socket::ServerMessage};
use serde_json::{Value, json};

use crate::studio::{LOOK, Studio, size, small, wire_01};

/// The plugin's request wakes a machine that did not exist, progress is seen on the way, and the next one is warm.
pub(crate) async fn cold_wake_then_warm(studio: Studio) -> Result<()> {
    let mut events = studio.painter.events().await?;
    let task = studio.painter.submit(&wire_01()?).await?;
    let (mut notes, mut progress) = (Vec::new(), Vec::new());
    loop {
        let ServerMessage::Task(view) = events.next().await? else {
            continue;
        };
        ensure!(view.task_id == task, "an event of another task");
        notes.extend(view.note);
        match view.state {
            TaskState::Running => progress.push(view.progress),
            TaskState::Succeeded => break,
            TaskState::Queued => {}
            other => anyhow::bail!("the task became {other:?}"),
        }
    }
    ensure!(
        notes.iter().any(|note| note.contains("waking up")),
        "nobody said that a GPU wakes up: {notes:?}"
    );
    ensure!(progress.len() >= 3, "hardly any progress was seen: {progress:?}");
    ensure!(progress.is_sorted(), "progress went back: {progress:?}");
    let completed = studio.painter.status(task).await?;
    let pictures = studio.painter.pictures(&completed).await?;
    ensure!(pictures.len() == 8, "{} pictures instead of 8", pictures.len());
    for picture in &pictures {
        ensure!(
            size(picture)? == (512, 512),
            "a picture has another size: {:?}",
            size(picture)?
        );
    }
    ensure!(pictures[0] != pictures[1], "the pictures of a batch are all the same");

    let cold = studio.until_machines(|machines| machines.len() == 1).await?;
    let task = studio.painter.submit(&small(4, 1)?).await?;
    studio.finish(task).await?;
    ensure!(
        studio.until_machines(|_| true).await? == cold,
        "the second picture changed the machines"
    );
    let user = studio.painter.call("GET", "user?plugin_version=1.53.0", None).await?;
    ensure!(
        user.status == 200 && user.body["images_generated"] == 9,
        "the account is not right: {:?}",
        user.body
    );
    ensure!(
        user.body["socket"] == studio.painter.socket.as_str(),
        "the account does not name the socket"
    );
    Ok(())
}

/// Pictures go in by a presigned URL and count.
pub(crate) async fn refine_with_an_upload(studio: Studio) -> Result<()> {
    let mut request: Value = serde_json::from_str(include_str!("../../../workflow/tests/wire/02_refine.json"))?;
    request["input"]["workflow"]["batch_count"] = 2.into();
    let mut results = Vec::new();
    for colour in [[200, 30, 30], [30, 30, 200]] {
        let mut png = std::io::Cursor::new(Vec::new());
        image::RgbImage::from_pixel(512, 512, image::Rgb(colour)).write_to(&mut png, image::ImageFormat::Png)?;
        let object = studio.painter.upload(png.into_inner()).await?;
        request["input"]["workflow"]["image_data"] = json!({ "s3_object": object, "offsets": [0] });
        let task = studio.painter.submit(&request).await?;
        let pictures = studio.painter.pictures(&studio.finish(task).await?).await?;
        ensure!(
            pictures.len() == 2 && size(&pictures[0])? == (512, 512),
            "not two pictures of 512×512"
        );
        results.extend(pictures.into_iter().next());
    }
    ensure!(results[0] != results[1], "another input picture made no difference");

    // The worker, not ComfyUI, finds out that bytes are no picture.
    let object = studio.painter.upload(b"this is no picture at all".to_vec()).await?;
    request["input"]["workflow"]["image_data"] = json!({ "s3_object": object, "offsets": [0] });
    let task = studio.painter.submit(&request).await?;
    let failed = studio.until(task, |task| task.state == TaskState::Failed).await?;
    ensure!(
        failed.failures == 0,
        "a bad picture counted as an infrastructure failure"
    );
    let status = studio.painter.status(task).await?;
    ensure!(
        status["status"] == "FAILED" && status["error"].as_str().is_some_and(|text| text.len() > 10),
        "{status}"
    );
    Ok(())
}

/// In a network that lets no WebSocket through, wake and progress arrive by polling.
pub(crate) async fn without_any_socket(studio: Studio) -> Result<()> {
    studio.stack.pump.without_socket(studio.pool.as_str());
    let task = studio.painter.submit(&small(60, 1)?).await?;
    studio.until_painting(task).await?;
    studio.finish(task).await?;
    // Warm: nobody can wake the worker, so it comes by itself.
    let task = studio.painter.submit(&small(2, 2)?).await?;
    studio.finish(task).await?;
    let worker = studio
        .until_machines(|machines| machines.len() == 1)
        .await?
        .remove(0)
        .worker_id;
    let worker = studio.stack.store().get(&worker).await?;
    ensure!(
        worker.is_some_and(|worker| worker.connection.is_none()),
        "the worker had a socket after all"
    );
    Ok(())
}

/// An upload that is too large is refused, and S3's event has it deleted.
pub(crate) async fn too_large_an_upload_goes(studio: Studio) -> Result<()> {
    let mut request: Value = serde_json::from_str(include_str!("../../../workflow/tests/wire/02_refine.json"))?;
    let max = usize::try_from(Settings::default().max_upload)?;
    let object = studio.painter.upload(vec![0; max + 1]).await?;
    request["input"]["workflow"]["image_data"] = json!({ "s3_object": object, "offsets": [0] });
    loop {
        let refused = studio
            .painter
            .call("POST", "generate", Some(request.to_string()))
            .await?;
        let words = refused.body["error"].as_str().unwrap_or_default();
        ensure!(refused.status == 400, "not refused: {refused:?}");
        if words.contains("does not exist") {
            return Ok(());
        }
        ensure!(words.contains("too large"), "not in words: {refused:?}");
        tokio::time::sleep(LOOK).await;
    }
}
