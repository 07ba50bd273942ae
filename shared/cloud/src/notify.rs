//! Telling painters and workers. All of it is a hint: a failure is logged and forgotten, the tables stay true.

use model::{ConnectionId, Session, Task, UserId, Worker, socket::ServerMessage, socket::TaskView};
use tracing::warn;

use crate::{Cloud, sockets::SocketError, store::Write, tables::SessionsOf};

/// Shows the task's owner how it stands; `note` says in words what is happening.
pub async fn tell_owner(cloud: &Cloud, task: &Task, note: Option<&str>) {
    let view = TaskView {
        note: note.map(str::to_owned),
        ..TaskView::from(task)
    };
    tell_user(cloud, &task.owner, &ServerMessage::Task(view)).await;
}

async fn tell_user(cloud: &Cloud, owner: &UserId, message: &ServerMessage) {
    let sessions = match cloud.store.list(SessionsOf(owner)).await {
        Ok(sessions) => sessions,
        Err(error) => return warn!(%owner, error = crate::http::chain(&error), "sessions could not be read"),
    };
    for session in sessions {
        if !send(cloud, &session.connection_id, message).await {
            forget(cloud, session).await;
        }
    }
}

/// Tells a worker over its WebSocket. False if it has none, or none any more.
pub async fn tell_worker(cloud: &Cloud, worker: &Worker, message: &ServerMessage) -> bool {
    match &worker.connection {
        Some(connection) => send(cloud, connection, message).await,
        None => false,
    }
}

/// False if the connection is gone.
pub async fn send(cloud: &Cloud, to: &ConnectionId, message: &ServerMessage) -> bool {
    let text = match serde_json::to_string(message) {
        Ok(text) => text,
        Err(error) => {
            warn!(%error, "a message could not be written as JSON");
            return true;
        }
    };
    match cloud.sockets.send(to, &text).await {
        Ok(()) => true,
        Err(SocketError::Gone) => false,
        Err(error) => {
            warn!(error = crate::http::chain(&error), "a message was not delivered");
            true
        }
    }
}

async fn forget(cloud: &Cloud, mut session: Session) {
    // Its own $disconnect does the same; whoever comes second finds nothing.
    let _ = cloud.store.commit([Write::delete(&mut session)]).await;
}
