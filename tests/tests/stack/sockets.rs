//! WebSockets come and go.

use anyhow::{Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use model::{
    TaskState,
    socket::{ClientMessage, MAX_PREVIEW, ServerMessage},
};

use crate::studio::{Studio, small};

/// A painter's socket drops while a picture is painted; the next one shows where it stands, and then the end.
pub(crate) async fn dropped_and_resumed(studio: Studio) -> Result<()> {
    let mut events = studio.painter.events().await?;
    let task = studio.painter.submit(&small(80, 1)?).await?;
    loop {
        if let ServerMessage::Task(view) = events.next().await?
            && view.state == TaskState::Running
        {
            break;
        }
    }
    drop(events);
    let mut events = studio.painter.events().await?;
    events.say(&ClientMessage::Sync { tasks: vec![task] }).await?;
    let ServerMessage::Task(snapshot) = events.next().await? else {
        anyhow::bail!("no snapshot")
    };
    ensure!(
        snapshot.task_id == task && snapshot.state == TaskState::Running,
        "{snapshot:?}"
    );
    let mut newest = snapshot.version;
    loop {
        let ServerMessage::Task(view) = events.next().await? else {
            continue;
        };
        // Messages may come out of order; the version tells which is news.
        if view.version > newest {
            newest = view.version;
        }
        if view.state == TaskState::Succeeded {
            break;
        }
    }
    ensure!(
        studio.task(task).await?.version == newest,
        "the last event is not the last state"
    );
    Ok(())
}

/// Who may say what is checked on each message; garbage closes nothing and changes nothing.
pub(crate) async fn roles_and_garbage(studio: Studio) -> Result<()> {
    for token in ["", "not-a-token"] {
        ensure!(
            studio.painter.with_token(token).events().await.is_err(),
            "a socket opened with a bad token"
        );
    }
    let task = studio.painter.submit(&small(60, 1)?).await?;
    let running = studio.until_painting(task).await?;
    let mut events = studio.painter.events().await?;
    let run_id = studio.run_of(task).await?;
    // A painter says how far a worker is.
    events
        .say(&ClientMessage::Progress {
            task_id: task,
            run_id,
            seq: 1_000_000,
            value: 1.0,
        })
        .await?;
    events.say_raw("no json").await?;
    events.say_raw(r#"{"action":"dance"}"#).await?;
    events.say(&ClientMessage::Ping).await?;
    while events.next().await? != ServerMessage::Pong {}
    let seq = studio.task(task).await?.run.map_or(0, |run| run.seq);
    ensure!(seq < 1_000_000, "a painter made progress");
    ensure!(running.progress() < 1.0, "it was over before it began");
    studio.finish(task).await?;
    Ok(())
}

/// Who looks sees the picture grow, on the socket that looks and no other, and the picture is none the worse for it.
pub(crate) async fn the_picture_as_it_grows(studio: Studio) -> Result<()> {
    let mut idle = studio.painter.events().await?;
    let mut events = studio.painter.events().await?;
    let task = studio.painter.submit(&small(60, 1)?).await?;
    studio.until_painting(task).await?;
    let run = studio.run_of(task).await?;
    let mut seen = vec![];
    events.say(&ClientMessage::Look { task_id: task }).await?;
    while seen.len() < 3 {
        if let ServerMessage::Preview {
            task_id,
            run_id,
            seq,
            jpeg,
        } = events.next().await?
        {
            let jpeg = BASE64_STANDARD.decode(jpeg)?;
            ensure!((task_id, run_id) == (task, run), "another's picture");
            ensure!(jpeg.len() <= MAX_PREVIEW, "{} bytes", jpeg.len());
            image::load_from_memory_with_format(&jpeg, image::ImageFormat::Jpeg)?;
            seen.push(seq);
        }
    }
    ensure!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    studio.finish(task).await?;
    idle.say(&ClientMessage::Ping).await?;
    loop {
        match idle.next().await? {
            ServerMessage::Pong => return Ok(()),
            ServerMessage::Preview { .. } => anyhow::bail!("shown to a socket that did not look"),
            _ => {}
        }
    }
}
