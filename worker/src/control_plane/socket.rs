//! The cloud's WebSocket. All it brings and takes are hints that make things faster; the worker does without it.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use model::socket::{ClientMessage, ServerMessage};
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    time::{Instant, interval_at, sleep_until, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message, client::IntoClientRequest, http::HeaderValue, http::header::AUTHORIZATION},
};

use super::api::{CloudApi, Token};
use crate::{
    backoff::Backoff,
    config::Timing,
    error::chain,
    event::Event,
    preview::{self, Previews},
    status::{Share, Status},
};

#[derive(Debug, thiserror::Error)]
enum SocketError {
    #[error("the WebSocket failed")]
    Socket(#[from] Box<tungstenite::Error>),
    #[error("the token fits into no header")]
    Token(#[from] tungstenite::http::header::InvalidHeaderValue),
    #[error("the WebSocket did not open in time")]
    Slow(#[from] tokio::time::error::Elapsed),
}

impl From<tungstenite::Error> for SocketError {
    fn from(error: tungstenite::Error) -> Self {
        Box::new(error).into()
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const OPEN: Duration = Duration::from_secs(15);
/// A connection that lived this long was a good one.
const GOOD: Duration = Duration::from_mins(1);

/// Keeps a WebSocket to `address` for as long as the agent listens: API Gateway closes it after two hours at most.
pub(crate) async fn keep_open(
    api: Arc<CloudApi>,
    mut address: watch::Receiver<Option<String>>,
    mut status: watch::Receiver<Status>,
    previews: Previews,
    timing: Timing,
    events: mpsc::Sender<Event>,
) {
    let mut backoff = Backoff::new((timing.retry.0, timing.retry.1 * 4));
    loop {
        let Some(url) = address.borrow_and_update().clone() else {
            if address.changed().await.is_err() {
                return;
            }
            continue;
        };
        let token = api.token().await;
        match timeout(OPEN, open(&url, &token))
            .await
            .map_err(SocketError::from)
            .and_then(|opened| opened)
        {
            Ok(socket) => {
                tracing::info!("the WebSocket is open");
                let since = Instant::now();
                // What happened while it was closed was not heard: look once.
                let heard = events.send(Event::Wake(None)).await;
                if heard.is_err() {
                    return;
                }
                tokio::select! {
                    end = talk(socket, &mut status, &previews, &timing, &events) => match end {
                        Ok(()) => tracing::info!("the WebSocket was closed"),
                        Err(error) => tracing::info!(error = chain(&error), "the WebSocket broke"),
                    },
                    _ = address.changed() => {}
                }
                if since.elapsed() > GOOD {
                    backoff.reset();
                }
            }
            Err(error) if backoff.tries() == 0 => {
                tracing::warn!(
                    error = chain(&error),
                    "no WebSocket; going on without it while trying again"
                );
            }
            Err(error) => tracing::debug!(error = chain(&error), "no WebSocket"),
        }
        if events.is_closed() {
            return;
        }
        backoff.wait().await;
    }
}

async fn open(url: &str, token: &Token) -> Result<Socket, SocketError> {
    let mut request = url.into_client_request()?;
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.secret()))?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, bearer);
    Ok(connect_async(request).await?.0)
}

async fn talk(
    mut socket: Socket,
    status: &mut watch::Receiver<Status>,
    previews: &Previews,
    timing: &Timing,
    events: &mpsc::Sender<Event>,
) -> Result<(), SocketError> {
    let mut ping = interval_at(Instant::now() + timing.socket_ping, timing.socket_ping);
    let mut told: Option<Share> = None;
    let mut may_tell = Instant::now();
    // What was seen before this connection is late.
    let mut latest = previews.watch();
    loop {
        let news = status
            .borrow_and_update()
            .run
            .filter(|share| share.seq > 0 && Some(*share) != told);
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    if let Some(event) = heard(&text, previews) && events.send(event).await.is_err() {
                        return Ok(());
                    }
                }
                Some(Ok(Message::Close(_))) | None => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
            },
            _ = ping.tick() => say(&mut socket, &ClientMessage::Ping).await?,
            () = sleep_until(may_tell), if news.is_some() => {
                if let Some(share) = news {
                    let Share { task_id, run_id, seq, value } = share;
                    say(&mut socket, &ClientMessage::Progress { task_id, run_id, seq, value }).await?;
                    told = news;
                    may_tell = Instant::now() + timing.progress_gap;
                }
            }
            message = preview::next(&mut latest) => {
                if let Some(message) = message {
                    say(&mut socket, &message).await?;
                }
            }
            changed = status.changed() => if changed.is_err() { return Ok(()) },
        }
    }
}

async fn say(socket: &mut Socket, message: &ClientMessage) -> Result<(), SocketError> {
    // These messages always become JSON.
    let Ok(text) = serde_json::to_string(message) else {
        return Ok(());
    };
    timeout(OPEN, socket.send(Message::text(text))).await??;
    Ok(())
}

/// What a message means for a worker; none for what is not for it or not known.
fn heard(text: &str, previews: &Previews) -> Option<Event> {
    match serde_json::from_str(text).ok()? {
        ServerMessage::Wake { task_id } => Some(Event::Wake(task_id)),
        ServerMessage::Cancel { run_id } => Some(Event::Cancel(run_id)),
        ServerMessage::Drain => Some(Event::Drain),
        ServerMessage::Look { task_id, run_id } => {
            previews.look(task_id, run_id, Instant::now());
            None
        }
        ServerMessage::Pong | ServerMessage::Task(_) | ServerMessage::Preview { .. } => None,
    }
}
