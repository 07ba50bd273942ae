//! The queue and the WebSockets.

use std::time::Duration;

use anyhow::{Result, ensure};
use cloud::{queue::Queued, sockets::SocketError};
use model::{ConnectionId, PoolId, TaskId};
use serde_json::json;
use uuid::Uuid;

use crate::aws::{Aws, refused};

fn message(pool: &str) -> Queued {
    Queued {
        task_id: Some(TaskId::new(Uuid::now_v7())),
        pool: PoolId::new(pool),
    }
}

pub(crate) async fn queued(aws: Aws) -> Result<()> {
    let message = message(&format!("{} größe \"🖌\" \n", aws.own));
    aws.cloud.queue.send(&message).await?;
    ensure!(aws.received().await?.contains(&message));
    Ok(())
}

pub(crate) async fn queued_up_to_1_mib(aws: Aws) -> Result<()> {
    let of = |bytes: usize| message(&"x".repeat(bytes));
    refused("1 MiB and more", aws.cloud.queue.send(&of(1 << 20)).await)?;
    aws.cloud.queue.send(&of((1 << 20) - 100)).await?;
    Ok(())
}

pub(crate) async fn queued_in_characters_of_xml(aws: Aws) -> Result<()> {
    for no in ['\u{fffe}', '\u{ffff}'] {
        refused(
            &format!("{no:?}"),
            aws.cloud.queue.send(&message(&format!("a{no}"))).await,
        )?;
    }
    aws.cloud.queue.send(&message("a\u{7f}\u{fffd}\u{10ffff}")).await?;
    Ok(())
}

pub(crate) async fn sent(aws: Aws) -> Result<()> {
    let mut socket = aws.connect().await?;
    let text = json!({ "event": "größe 🖌" }).to_string();
    aws.cloud.sockets.send(&socket.id(), &text).await?;
    ensure!(socket.next().await? == text);
    Ok(())
}

pub(crate) async fn sent_up_to_128_kb(aws: Aws) -> Result<()> {
    let mut socket = aws.connect().await?;
    let of = |bytes: usize| json!("x".repeat(bytes - 2)).to_string();
    let good = of(128 << 10);
    aws.cloud.sockets.send(&socket.id(), &good).await?;
    ensure!(socket.next().await? == good);
    refused(
        "more than 128 KB",
        aws.cloud.sockets.send(&socket.id(), &of((128 << 10) + 1)).await,
    )
}

pub(crate) async fn sent_to_a_closed_connection(aws: Aws) -> Result<()> {
    let socket = aws.connect().await?;
    let id = socket.id();
    socket.close().await?;
    gone(&aws, &id).await
}

pub(crate) async fn hung_up_on(aws: Aws) -> Result<()> {
    let socket = aws.connect().await?;
    aws.cloud.sockets.close(&socket.id()).await?;
    gone(&aws, &socket.id()).await?;
    aws.cloud.sockets.close(&socket.id()).await?;
    Ok(())
}

async fn gone(aws: &Aws, id: &ConnectionId) -> Result<()> {
    // API Gateway may take a while to notice.
    loop {
        match aws.cloud.sockets.send(id, "{}").await {
            Err(SocketError::Gone) => return Ok(()),
            Err(error) => return Err(error.into()),
            Ok(()) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
