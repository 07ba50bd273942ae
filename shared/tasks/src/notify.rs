//! Telling painters and workers. All of it is a hint: a failure is logged and forgotten, the tables stay true.

use cloud::{Cloud, Write, chain, sockets::SocketError, tables::SessionsOf};
use model::{
    ConnectionId, Session, Settings, Task, UserId, Worker,
    socket::{ServerMessage, TaskView},
};
use tracing::warn;

use crate::view;

/// Shows the task's owner how it stands; `note` says in words what is happening.
pub async fn tell_owner(cloud: &Cloud, task: &Task, note: Option<&str>) {
    let view = TaskView {
        note: note.map(str::to_owned),
        ..TaskView::from(task)
    };
    tell_view(cloud, task, view).await;
}

/// Shows the task's owner how it ended, with the address of its pictures, so that no call stands between them and the canvas.
pub async fn tell_pictures(cloud: &Cloud, settings: &Settings, task: &Task) {
    // A pose may be larger than a message can be: who wants it asks.
    let fits = task.result.as_ref().is_some_and(|result| result.pose.is_none());
    let view = match fits.then(|| view::shown(&cloud.bucket, settings, task)) {
        None => TaskView::from(task),
        Some(shown) => shown.await.unwrap_or_else(|error| {
            warn!(task.id = %task.task_id, error = chain(&error), "a result's address could not be signed");
            TaskView::from(task)
        }),
    };
    tell_view(cloud, task, view).await;
}

async fn tell_view(cloud: &Cloud, task: &Task, view: TaskView) {
    tell_user(cloud, &task.owner, &ServerMessage::Task(Box::new(view))).await;
}

async fn tell_user(cloud: &Cloud, owner: &UserId, message: &ServerMessage) {
    let sessions = match cloud.store.list(SessionsOf(owner)).await {
        Ok(sessions) => sessions,
        Err(error) => return warn!(user.id = %owner, error = chain(&error), "sessions could not be read"),
    };
    for session in sessions {
        if send(cloud, &session.connection_id, message).await == Delivery::Gone {
            forget(cloud, session).await;
        }
    }
}

/// Tells a worker over its WebSocket. False if nothing was delivered: it has none, none any more, or the way to it is shut.
pub async fn tell_worker(cloud: &Cloud, worker: &Worker, message: &ServerMessage) -> bool {
    match &worker.connection {
        Some(connection) => send(cloud, connection, message).await == Delivery::Sent,
        None => false,
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// API Gateway took it.
    Sent,
    /// The connection is closed, for good.
    Gone,
    /// It did not go through; the connection may be there.
    Failed,
}

/// Sends a message to one connection.
pub async fn send(cloud: &Cloud, to: &ConnectionId, message: &ServerMessage) -> Delivery {
    let text = match serde_json::to_string(message) {
        Ok(text) => text,
        Err(error) => {
            warn!(error = chain(&error), "a message could not be written as JSON");
            return Delivery::Failed;
        }
    };
    match cloud.sockets.send(to, &text).await {
        Ok(()) => Delivery::Sent,
        Err(SocketError::Gone) => Delivery::Gone,
        Err(error) => {
            warn!(error = chain(&error), "a message was not delivered");
            Delivery::Failed
        }
    }
}

async fn forget(cloud: &Cloud, mut session: Session) {
    // Its own $disconnect does the same; whoever comes second finds nothing.
    let _ = cloud.store.commit([Write::delete(&mut session)]).await;
}
